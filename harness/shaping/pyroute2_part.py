"""Imports pyroute2's message classes without the rest of pyroute2 (databases, TLS, asyncio).

``import pyroute2`` takes 0.15 s, which every command on netem would pay; the message classes take a third of that
(Python 3.11, native).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

_NAME = "pyroute2"


@contextmanager
def message_classes() -> Iterator[None]:
    """In this block, imports of pyroute2's modules skip its ``__init__.py``.

    Afterwards the modules are removed from sys.modules, so that a user's program that imports pyroute2 gets all of it.
    Where pyroute2 has been imported before, the block changes nothing.

    Raises:
        ModuleNotFoundError: pyroute2 is not installed.
    """
    if _NAME in sys.modules:
        yield
        return
    spec = find_spec(_NAME)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {_NAME!r}", name=_NAME)
    package = ModuleType(_NAME)
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[_NAME] = package
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == _NAME]:
            del sys.modules[name]
