"""The verdict on the rate, and whether it was the link or the machine that set it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from harness.measurement import BulkSample, Spread, bulk_rate, carried_rate, estimate_span, sent_rate
from harness.units import Rate
from harness.verdict.row import Verdict, Way

RATE_LOW: Final = 0.92
RATE_HIGH: Final = 1.03
_BUSY: Final = 0.9
"""Share of the time from which a CPU counts as the bottleneck."""
_EASY: Final = Rate(100_000_000)
"""A rate that every machine can carry: under it, a busy CPU is no excuse."""
_KEPT_BUSY: Final = 1.1
"""How much faster than the link a sender must be for the link to be the bottleneck."""
_PASSED: Final = 0.85
"""Share of the sender's rate that arrives where the sender is the bottleneck."""
_ROUNDING: Final = 1e-6
_MOST_SLACK: Final = 0.1


def rate(way: Way) -> Verdict | None:
    """The rate on the wire; without a limit, for information. None where there is neither limit nor measurement."""
    requested, applied = (shape.rate.bit_s if shape.rate else None for shape in (way.requested, way.applied))
    bulk = way.measured.bulk
    if bulk is None:
        return None if requested is None else way.row("rate", requested, applied, note="it was not measured")
    found = bulk_rate(bulk) or carried_rate(bulk)
    measured = float(found.bit_s) if found else None
    if applied is None:
        row = way.row("rate", requested, applied, measured, samples=len(bulk.points))
        row = replace(row, ok=True, note="no limit requested: what this machine carries")
        return row.holding(0, _mbit)
    slack = _slack(way.lateness, bulk)
    low, high = applied * (RATE_LOW - slack), applied * (RATE_HIGH + slack)
    row = way.row("rate", requested, applied, measured, low=low, high=high, samples=len(bulk.points))
    if not bulk.received_bytes:
        row = row.failed("no packet arrived")
    elif measured is None or measured < low:
        why = _machine(applied, measured, bulk)
        row = (
            replace(row, ok=True, machine_bound=True, note=why)
            if why
            else row.failed("the link is slower than its rate")
        )
    elif measured > high:
        row = row.failed("the link is faster than its rate")
    return row.holding(max(8, _ROUNDING * (requested or 0)), _mbit)


def _slack(late: Spread, bulk: BulkSample) -> float:
    """The share of the rate that one late timer at either end of the estimate's span makes."""
    span = estimate_span(bulk)
    return min(_MOST_SLACK, (late.mean + 2 * late.std) / span) if span else 0.0


def _machine(applied: float, measured: float | None, bulk: BulkSample) -> str:
    """How this machine, and not the link, set the rate; empty where nothing proves it."""
    sent = sent_rate(bulk)
    if sent and sent.bit_s < applied * _KEPT_BUSY and (measured is None or measured > _PASSED * sent.bit_s):
        return f"this machine sends no more than {_mbit(sent.bit_s)}"
    if applied >= _EASY.bit_s and bulk_rate(bulk) is None:
        return "this machine reads slower than the link sends"
    if applied >= _EASY.bit_s and bulk.busiest_cpu >= _BUSY:
        return f"this machine carries no more than {_mbit(measured or 0)}: a CPU is {bulk.busiest_cpu:.0%} busy"
    return ""


def _mbit(bit_s: float) -> str:
    return f"{bit_s / 1e6:.4g} Mbit/s"
