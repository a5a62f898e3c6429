"""An engine by name; imported when asked for."""

from __future__ import annotations

from harness.engine.base import Engine
from harness.engine.capability import AUTO, ENGINES, NETEM, USERSPACE
from harness.errors import InputError
from harness.suggest import suggest


def make_engine(name: str) -> Engine:
    """The engine. Raises InputError where none has that name."""
    if name == NETEM:
        from harness.engine.netem import NetemEngine

        return NetemEngine()
    if name == USERSPACE:
        from harness.engine.userspace.engine import UserspaceEngine

        return UserspaceEngine()
    raise InputError(f"no engine is called {name!r}; {suggest(name, (AUTO, *ENGINES))}")
