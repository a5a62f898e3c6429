"""pyroute2's message classes without the rest of pyroute2, whose package imports all of it: databases, TLS, asyncio.

``import pyroute2`` takes 0.15 s, which every command on netem would pay; the message classes alone take a third of it
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
    """Within this, modules of pyroute2 are imported without what stands in its ``__init__.py``.

    Afterwards nobody finds them: who imports pyroute2 later, e.g. a user's program, gets all of it, and as its own.
    Where it has been imported before, nothing is different.

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
