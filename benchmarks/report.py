"""Rows of a benchmark: what was measured, the target, and whether it was reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure. ``reached`` is None where there is no target; ``requested`` is printed by side_by_side only."""

    what: str
    measured: str
    target: str = ""
    reached: bool | None = None
    requested: str = ""
    samples: str = ""


def table(title: str, rows: list[Row]) -> None:
    """Print them."""
    made = Table(title=title, title_justify="left")
    for column in ("figure", "measured", "target", ""):
        made.add_column(column, justify="left" if column in ("figure", "") else "right")
    for row in rows:
        what = f"{row.what}, {row.samples}" if row.samples else row.what
        made.add_row(what, row.measured, row.target, {True: "ok", False: "MISSED", None: ""}[row.reached])
    Console(width=None if Console().is_terminal else 110).print(made)


def side_by_side(title: str, columns: Mapping[str, Sequence[Row]]) -> None:
    """Print the same figures of several candidates, by name; one without rows failed."""
    made = Table(title=title, title_justify="left")
    for name in ("figure", "requested", *columns, "samples", "target", "reached"):
        made.add_column(name, justify="right" if name in columns else "left", no_wrap=name != "reached")
    found = {name: {(row.what, row.requested): row for row in rows} for name, rows in columns.items()}
    for key, first in {key: row for rows in found.values() for key, row in rows.items()}.items():
        cells = {name: rows.get(key, Row(first.what, "not run")) for name, rows in found.items()}
        measured = [row for row in cells.values() if row.samples]
        missed = [name for name, row in cells.items() if row.reached is False or (first.target and not row.samples)]
        made.add_row(
            *key,
            *(row.measured for row in cells.values()),
            "\n".join(dict.fromkeys(row.samples for row in measured)),
            "\n".join(dict.fromkeys(row.target for row in measured)),
            "MISSED by " + ", ".join(missed) if missed else "ok" if any(row.reached for row in measured) else "",
        )
    Console(width=None if Console().is_terminal else 200).print(made)
