"""Pickles a function and its arguments for a node, which cannot import the user's modules."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from harness.errors import InputError

_lock: Final = threading.Lock()
"""Guards cloudpickle's list of modules that are pickled by value, which is global."""


def pack(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    *,
    marker: str,
    path: Sequence[str] | None,
) -> bytes:
    """The standard input of harness.api.remote.

    Args:
        function: to be called.
        arguments: positional arguments.
        keywords: keyword arguments.
        marker: prefix of lines with the result.
        path: sys.path in the node; None: the node's own.

    Raises:
        InputError: the function or an argument cannot be pickled.
    """
    import cloudpickle  # type: ignore[import-untyped]

    order = {"python": sys.version_info[:2], "path": path, "marker": marker}
    try:
        with _by_value(_modules([function, *arguments, *keywords.values()])):
            pickled = cloudpickle.dumps((function, tuple(arguments), dict(keywords)))
    except Exception as error:
        name = getattr(function, "__qualname__", repr(function))
        raise InputError(
            f"{name} cannot be sent to the nodes: {type(error).__name__}: {error};"
            " the variables that it uses and its arguments must be picklable: create files, locks and sockets inside"
            " the function, and use a network outside"
        ) from error
    return b"".join([json.dumps(order).encode(), b"\n", pickled])


def search_path() -> list[str]:
    """sys.path, without entries that are not texts."""
    return [entry for entry in sys.path if isinstance(entry, str)]


def _modules(objects: Iterable[Any]) -> set[str]:
    """The names of the modules that define these objects and what they wrap."""
    names: set[str] = set()
    for one in objects:
        while isinstance(one, functools.partial):
            names |= _modules([*one.args, *one.keywords.values()])
            one = one.func
        for part in (one, getattr(one, "__self__", None)):
            names |= {
                name for name in (getattr(part, "__module__", None), type(part).__module__) if isinstance(name, str)
            }
    return names


@contextlib.contextmanager
def _by_value(names: Iterable[str]) -> Iterator[None]:
    """Make cloudpickle pickle by value what these modules define, unless a module is installed."""
    import cloudpickle

    with _lock, contextlib.ExitStack() as stack:
        listed = cloudpickle.list_registry_pickle_by_value()
        for name in names:
            module = sys.modules.get(name)
            if module is not None and name not in listed and not is_installed(name, module):
                cloudpickle.register_pickle_by_value(module)
                stack.callback(cloudpickle.unregister_pickle_by_value, module)
        yield


def is_installed(name: str, module: ModuleType) -> bool:
    """Whether nodes have the module: it is Python's, in a site-packages folder, or of this package."""
    top = name.partition(".")[0]
    file = getattr(module, "__file__", None)
    if file is None or top in sys.stdlib_module_names or top in ("__main__", "harness"):
        return True
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(os.fspath(file)).parts)
