"""Verdicts as a table, and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from harness.model.format import DIGITS, format_distinct, format_range, format_rate, format_share, format_time
from harness.model.table import Column, Styled, Table
from harness.verify.caps import CapKind
from harness.verify.verdict import Quantity
from harness.verify.verdict.row import Row

_FORMAT: Final[Mapping[Quantity | CapKind, Callable[[float | None, int], str]]] = {
    "rtt": format_time,
    "jitter": format_time,
    "loss": format_share,
    "duplicate": format_share,
    "reorder": format_share,
    "rate": format_rate,
    "uplink": format_rate,
    "downlink": format_rate,
    "trunk": format_rate,
    "cpu": format_share,
}
MACHINE_BOUND: Final = "machine-bound: this machine is too slow or too busy to tell whether the link is right"
"""The caption of a table with such a row."""


def verify_table(rows: Sequence[Row], title: str) -> Table:
    """One line per row; "accepted" is the interval in which a measurement agrees with what the engine reports.

    The column "applied" is left out in a narrow terminal, unless it differs from "requested".
    """
    caption = MACHINE_BOUND if any(row.machine_bound for row in rows) else None
    same = all(row.requested == row.applied for row in rows)
    names = ("requested", "applied", "measured", "accepted")
    numbers = [Column(name, right=True, optional=name == "applied" and same) for name in names]
    table = Table(title, [Column("edge"), Column("quantity"), *numbers, Column("verdict", breaks=" ")], caption or "")
    last = None
    for row in rows:
        if last is not None and last != row.place:
            table.end_section()
        table.add_row("" if last == row.place else row.place, row.quantity, *_texts(row), _verdict(row))
        last = row.place
    return table


def in_words(row: Row) -> str:
    """The measurement, as part of a sentence."""
    *_, measured, accepted = _texts(row)
    return f"{row.place} {row.quantity} {measured}" + (f" ({accepted})" if accepted else "")


def _texts(row: Row) -> tuple[str, str, str, str]:
    """Requested, applied, measured and accepted; of a row that is off, with as many digits as show why."""
    values = (row.requested, row.applied, row.measured, row.low, row.high)
    text = _FORMAT[row.quantity]
    requested, applied, measured, low, high = (
        [text(value, DIGITS) for value in values] if row.ok else format_distinct(text, values)
    )
    low, high = ("" if value is None else shown for value, shown in ((row.low, low), (row.high, high)))
    return requested, applied, measured, format_range(low, high) if low and high else low or high


def _verdict(row: Row) -> str:
    """The verdict and its reason."""
    if row.machine_bound:
        word, style = "machine-bound", "yellow"
    elif not row.ok:
        word, style = {"": "OFF", "too slow": "not measured", "changed": "changed"}[row.why_not], "red"
    else:
        word, style = ("not measured", "yellow") if row.measured is None else ("ok", "green")
    return Styled(f"{word} {row.note}".rstrip(), style)
