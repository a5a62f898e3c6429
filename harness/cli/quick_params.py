"""Reads texts and whole numbers of the command line without pydantic.

Typer makes a pydantic adapter for every option, given or not: 0.06 s of the 0.15 s that most verbs take. Values that
need more go to Typer's own adapter, with errors in plain words. With a Typer that has no such adapters nothing changes;
tests/unit/cli/test_main.py fails when this saves nothing any more.
"""

from __future__ import annotations

from typing import Any

import typer
from typer import core

from harness.errors import quoted
from harness.model.units import is_whole_number


class _QuickParam:
    """Replaces typer._coercion.RuntimeParam."""

    def __init__(self, descriptor: Any) -> None:
        self._descriptor = descriptor

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of its option's type. Raises BadParameter."""
        kind = self._descriptor.annotation
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if kind in (str, int, float) and type(value) is kind:
            return value
        if kind == list[str] and isinstance(value, (list, tuple)):
            return list(value)
        if kind is int and isinstance(value, str) and is_whole_number(value):
            low, high = (getattr(self._descriptor.parameter_info, end) for end in ("min", "max"))
            if (low is None or low <= int(value)) and (high is None or int(value) <= high):
                return int(value)
        try:
            return _make_adapter(self._descriptor).coerce(value, param=param, ctx=ctx)
        except typer.BadParameter as error:
            error.message = self._refusal(value) or error.message.removeprefix("Value error, ")
            raise

    def _refusal(self, value: Any) -> str:
        """The error for a value that is not a number, or not in the option's range; empty for other options."""
        kind = {int: "a whole number", float: "a number"}.get(self._descriptor.annotation)
        low, high = (getattr(self._descriptor.parameter_info, end, None) for end in ("min", "max"))
        ends = f" from {low}" * (low is not None) + (f" to {high}" if high is not None else " up" * (low is not None))
        return f"{quoted(str(value))} is not {kind}{ends}" if kind else ""


_make_adapter: Any = getattr(core, "build_runtime_param", None)


def install() -> None:
    """Use it in this process."""
    if _make_adapter is not None:
        vars(core)["build_runtime_param"] = _QuickParam
