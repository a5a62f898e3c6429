"""An engine by name; imported when asked for."""

from __future__ import annotations

from harness.errors import InputError
from harness.model.suggest import suggest
from harness.shaping.base import Engine
from harness.shaping.detect import AUTO, ENGINES, NETEM, USERSPACE


def make_engine(name: str) -> Engine:
    """The engine. Raises InputError where none has that name."""
    if name == NETEM:
        from harness.shaping.netem import NetemEngine

        return NetemEngine()
    if name == USERSPACE:
        from harness.shaping.userspace.engine import UserspaceEngine

        return UserspaceEngine()
    raise InputError(f"no engine is called {name!r}; {suggest(name, (AUTO, *ENGINES))}")
