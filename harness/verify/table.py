"""Verdicts as a table, and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich.markup import escape
from rich.table import Table

from harness.verify.verdict import Quantity, Verdict


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _share(share: float) -> str:
    return f"{share * 100:.3g} %"


def _rate(bit_s: float) -> str:
    for prefix, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if bit_s >= factor:
            return f"{bit_s / factor:.4g} {prefix}bit/s"
    return f"{bit_s:.4g} bit/s"


_FORMAT: Final[Mapping[Quantity, Callable[[float], str]]] = {
    "rtt": _time,
    "jitter": _time,
    "loss": _share,
    "duplicate": _share,
    "reorder": _share,
    "rate": _rate,
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
        values = (_text(row, value) for value in (row.requested, row.applied, row.measured))
        edge = "" if last == (row.src, row.dst) else f"{row.src}->{row.dst}"
        table.add_row(edge, row.quantity, *values, _accepted(row), _verdict(row))
        last = (row.src, row.dst)
    return table


def in_words(row: Verdict) -> str:
    """What was measured, as part of a sentence."""
    accepted = _accepted(row)
    return f"{row.src}->{row.dst} {row.quantity} {_text(row, row.measured)}" + (f" ({accepted})" if accepted else "")


def _text(row: Verdict, value: float | None) -> str:
    return "-" if value is None else _FORMAT[row.quantity](value)


def _accepted(row: Verdict) -> str:
    low, high = ("" if value is None else _text(row, value) for value in (row.low, row.high))
    return f"{low} .. {high}" if low or high else ""


def _verdict(row: Verdict) -> str:
    """The verdict and its reason; the note of a row that is ok is dim."""
    if row.machine_bound:
        return f"[yellow]machine-bound[/yellow] {escape(row.note)}".rstrip()
    if not row.ok:
        return f"[red]OFF[/red] {escape(row.note)}".rstrip()
    word = "[yellow]not measured[/yellow]" if row.measured is None else "[green]ok[/green]"
    return f"{word} [dim]{escape(row.note)}[/dim]" if row.note else word
