"""Rows of a benchmark: what was measured, the target, and whether it was reached."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure. ``reached`` is None where there is no target."""

    what: str
    measured: str
    target: str = ""
    reached: bool | None = None


def table(title: str, rows: list[Row]) -> None:
    """Print them."""
    made = Table(title=title, title_justify="left")
    for column in ("figure", "measured", "target", ""):
        made.add_column(column, justify="left" if column in ("figure", "") else "right")
    for row in rows:
        made.add_row(row.what, row.measured, row.target, {True: "ok", False: "MISSED", None: ""}[row.reached])
    Console(width=None if Console().is_terminal else 110).print(made)
