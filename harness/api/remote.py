"""Runs a user's function in a node: ``python -m harness.api.remote``.

Standard input is one JSON line, {"python": [3, 11], "path": sys.path or null, "marker": text}, then the pickle of
(function, arguments, keyword arguments). The answer is written among the lines that the function prints
(result_lines.py): the pickle of {"ok": true, "value": pickle} or of {"ok": false, "what": text, "trace": text, "error":
pickle or null}.

The exit code is 0, or 1 for an error. It imports only the standard library until it unpickles the function.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Final

from harness.api.result_lines import pieces

CALL_ARGV: Final = ("-m", "harness.api.remote")
"""Arguments of Python in a node."""
CallResult = dict[str, Any]


def main() -> None:
    """Read a call, make it, write the answer."""
    out = os.dup(1)
    order, payload = json.loads(sys.stdin.buffer.readline()), sys.stdin.buffer.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    answer = _perform(order, payload)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # the function may have closed it
            stream.flush()
    for piece in pieces(order["marker"].encode(), pickle.dumps(answer)):
        os.write(out, piece)
    if not answer["ok"]:
        os._exit(1)  # without exit handlers, which may wait for other ranks that are about to fail too


def _perform(order: Mapping[str, Any], payload: bytes) -> CallResult:
    ours, theirs = tuple(sys.version_info[:2]), tuple(order["python"])
    if ours != theirs:
        return _failed(
            f"this node has Python {ours[0]}.{ours[1]}, and the function comes from {theirs[0]}.{theirs[1]}: byte code"
            " differs between versions; build the image with the same version, or run a script with exec()"
        )
    if order["path"] is not None:
        sys.path[:] = order["path"]
    try:
        function, arguments, keywords = pickle.loads(payload)
    except BaseException as error:
        return _failed(f"the function cannot be read in the node: {_name(error)}{_remedy(error)}", error)
    try:
        value = function(*arguments, **keywords)
    except BaseException as error:
        return _failed(_name(error), error)
    import cloudpickle  # type: ignore[import-untyped]

    try:
        return {"ok": True, "value": cloudpickle.dumps(value)}
    except Exception as error:
        return _failed(f"the result, a {type(value).__name__}, cannot be sent: {_name(error)}", error)


def _failed(what: str, error: BaseException | None = None) -> CallResult:
    if error is None:
        return {"ok": False, "what": what, "trace": "", "error": None}
    own = error.__traceback__.tb_next if error.__traceback__ else None
    trace = "".join(traceback.format_exception(type(error), error, own))
    return {"ok": False, "what": what, "trace": trace, "error": _pickled(error)}


def _name(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(type(error), error)).strip()


def _remedy(error: BaseException) -> str:
    if not isinstance(error, ModuleNotFoundError):
        return ""
    if error.name == "cloudpickle":
        return "; build the image again: harness image build"
    return (
        f"; install {error.name} in the nodes' image, or if it is your own module, send it with the function:"
        f" cloudpickle.register_pickle_by_value({error.name})"
    )


def _pickled(error: BaseException) -> bytes | None:
    try:
        import cloudpickle

        data: bytes = cloudpickle.dumps(error)
    except Exception:
        return None
    return data


if __name__ == "__main__":
    main()
