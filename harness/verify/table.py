"""Verdicts as a table, and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich.markup import escape
from rich.table import Table

from harness.model.format import DIGITS, format_distinct, format_rate, format_share, format_time
from harness.verify.verdict import Quantity, Verdict

_FORMAT: Final[Mapping[Quantity, Callable[[float | None, int], str]]] = {
    "rtt": format_time,
    "jitter": format_time,
    "loss": format_share,
    "duplicate": format_share,
    "reorder": format_share,
    "rate": format_rate,
}
MACHINE_BOUND: Final = "machine-bound: this machine is too slow or too busy to tell whether the link is right"
"""Printed below a table that has such a row."""


def verify_table(rows: Sequence[Verdict], title: str) -> Table:
    """One line per row; "accepted" is the interval in which a measurement agrees with what the engine reports."""
    caption = MACHINE_BOUND if any(row.machine_bound for row in rows) else None
    table = Table(title=title, title_justify="left", header_style="bold", caption=caption, caption_justify="left")
    for column in ("edge", "quantity", "requested", "applied", "measured", "accepted", "verdict"):
        table.add_column(column, justify="left" if column in ("edge", "quantity", "verdict") else "right")
    last = None
    for row in rows:
        if last is not None and last != (row.src, row.dst):
            table.add_section()
        edge = "" if last == (row.src, row.dst) else f"{row.src}->{row.dst}"
        table.add_row(edge, row.quantity, *_texts(row), _verdict(row))
        last = (row.src, row.dst)
    return table


def in_words(row: Verdict) -> str:
    """What was measured, as part of a sentence."""
    *_, measured, accepted = _texts(row)
    return f"{row.src}->{row.dst} {row.quantity} {measured}" + (f" ({accepted})" if accepted else "")


def _texts(row: Verdict) -> tuple[str, str, str, str]:
    """Requested, applied, measured and accepted; of a row that is off with all digits that show why."""
    values = (row.requested, row.applied, row.measured, row.low, row.high)
    text = _FORMAT[row.quantity]
    requested, applied, measured, low, high = (
        [text(value, DIGITS) for value in values] if row.ok else format_distinct(text, values)
    )
    low, high = ("" if value is None else shown for value, shown in ((row.low, low), (row.high, high)))
    return requested, applied, measured, f"{low} .. {high}" if low or high else ""


def _verdict(row: Verdict) -> str:
    """The verdict and its reason; the note of a row that is ok is dim."""
    if row.machine_bound:
        return f"[yellow]machine-bound[/yellow] {escape(row.note)}".rstrip()
    if not row.ok:
        return f"[red]OFF[/red] {escape(row.note)}".rstrip()
    word = "[yellow]not measured[/yellow]" if row.measured is None else "[green]ok[/green]"
    return f"{word} [dim]{escape(row.note)}[/dim]" if row.note else word
