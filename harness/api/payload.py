"""A function and its arguments as bytes that a node can read, which cannot import the module of a test."""

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
"""Which modules go by value is one list for the whole process."""


def pack(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    *,
    marker: str,
    path: Sequence[str] | None,
) -> bytes:
    """What harness.api.remote reads.

    Args:
        function: to be called.
        arguments: its own.
        keywords: its own.
        marker: of the answer.
        path: where the node finds modules; None: as it is there.

    Raises:
        InputError: something of it cannot be pickled.
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
            " the variables that it uses and its arguments must be picklable: open files, locks and sockets inside"
            " of it, and use a network outside"
        ) from error
    return b"".join([json.dumps(order).encode(), b"\n", pickled])


def search_path() -> list[str]:
    """Where this process finds modules."""
    return [entry for entry in sys.path if isinstance(entry, str)]


def _modules(objects: Iterable[Any]) -> set[str]:
    """The modules that these objects, or what they wrap, come from."""
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
    """Let cloudpickle pickle what is defined in these modules whole, where they are no installed ones."""
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
    """Whether nodes can be expected to have that module: of Python, in a site-packages folder, or this package."""
    top = name.partition(".")[0]
    file = getattr(module, "__file__", None)
    if file is None or top in sys.stdlib_module_names or top in ("__main__", "harness"):
        return True
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(os.fspath(file)).parts)
