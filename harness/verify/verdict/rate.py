"""The verdict on the rate, and whether the link or the machine limited it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

from harness.model.format import format_rate, format_share
from harness.model.units import Rate
from harness.verify.caps import counted, narrowest
from harness.verify.samples import BulkSample
from harness.verify.stats import Spread, bulk_rate, carried_rate, estimate_span, sent_rate
from harness.verify.verdict.row import UNMEASURED, JudgedDirection, Row, Verdict

R = TypeVar("R", bound=Row)

RATE_LOW: Final = 0.92
RATE_HIGH: Final = 1.03
_BUSY: Final = 0.9
"""A CPU that is busy for this share of the time may be the bottleneck, if the sender was slower than planned, too."""
_EASY: Final = Rate(100_000_000)
"""Every machine can carry this rate: below it, a busy CPU does not explain a slow link."""
_KEPT_BUSY: Final = 1.1
"""The link is the bottleneck where the sender reaches this many times the link's rate."""
_PASSED: Final = 0.85
"""The sender is the bottleneck where more than this share of its rate arrives."""
_ROUNDING: Final = 1e-6
_MOST_SLACK: Final = 0.1


def rate(way: JudgedDirection) -> Verdict | None:
    """The rate on the wire; without a limit, for information. None where there is neither limit nor measurement.

    The rate includes the edge's overhead. Where a shared capacity is less than the edge's own rate, the measurement is
    compared with that. For a packet-delivery trace the row has the trace's mean rate and is not judged, because a
    measurement meets only a part of the trace.
    """
    requested, applied = (shape.mean_rate.bit_s if shape.mean_rate else None for shape in (way.requested, way.applied))
    bulk = way.measured.bulk
    if bulk is None:
        if requested is None and applied is None:
            return None
        row = way.row("rate", requested, applied, note=UNMEASURED)
        return (row.left_out() if "bulk" in way.measured.left_out else row).compared(rounding(requested), format_rate)
    cap, overhead = narrowest(way.caps, way.applied, way.frame), way.applied.counted_overhead
    found = bulk_rate(bulk) or carried_rate(bulk)
    measured = counted(found.bit_s, overhead, way.frame) if found else None
    row = way.row("rate", requested, applied, measured, samples=len(bulk.points))
    if way.applied.delivery is not None:
        return row.follows(way.applied.delivery).compared(rounding(requested), format_rate)
    if cap is not None:
        limit: float | None = counted(cap.frame_bit_s(way.frame), overhead, way.frame)
    else:
        limit = applied
    if limit is None:
        row = replace(row, ok=True, note="no limit requested: what this machine carries")
        return row.compared(0, format_rate)
    row = compared_with(row, limit, bulk, way.lateness, passed=1 - _lost(way) if cap else 1.0)
    if cap is not None and row.ok and not row.note:
        row = row.with_note(f"limited by {cap}")
    return row.compared(rounding(requested), format_rate)


def _lost(way: JudgedDirection) -> float:
    """The share of packets that an edge may lose behind an uplink."""
    return way.applied.mean_loss + float(way.applied.corrupt)


def compared_with(
    row: R, limit: float, bulk: BulkSample, late: Spread, *, passed: float = 1.0, what: str = "link"
) -> R:
    """The row with the verdict whether its measured value is this rate.

    Args:
        row: with the measured value.
        limit: in bit/s, counted like the measured value.
        bulk: the train that measured it.
        late: how late this machine's timers were.
        passed: the share of packets that arrive for sure behind the limit.
        what: the kind of limit.
    """
    slack = _slack(late, bulk)
    low, high = limit * passed * (RATE_LOW - slack), limit * (RATE_HIGH + slack)
    row = replace(row, low=low, high=high, ok=row.measured is not None and low <= row.measured <= high)
    if not bulk.received_bytes:
        return row.failed("no packet arrived")
    if row.measured is None or row.measured < low:
        why = _machine(limit, row.measured, bulk)
        if why:
            return replace(row, ok=True, machine_bound=True, note=why)
        return row.failed(f"the {what} is slower than its rate")
    return row.failed(f"the {what} is faster than its rate") if row.measured > high else row


def rounding(requested: float | None) -> float:
    """By how much an engine's rate may differ from the requested one, in bit/s."""
    return max(8, _ROUNDING * (requested or 0))


def _slack(late: Spread, bulk: BulkSample) -> float:
    """The share of the rate by which a late timer at one end of the estimate's span can shift it."""
    span = estimate_span(bulk)
    return min(_MOST_SLACK, (late.median + 2 * late.robust_std) / span) if span else 0.0


def _machine(applied: float, measured: float | None, bulk: BulkSample) -> str:
    """How this machine, not the link, limited the rate; empty where there is no proof.

    A busy CPU by itself is no proof: with one CPU, a train at twice the link's rate always makes it busy. If the sender
    was faster than the link's rate and the train arrived slower than that, the link limited it.
    """
    sent = sent_rate(bulk)
    if measured is None:
        return ""
    if sent and sent.bit_s < applied * _KEPT_BUSY and measured > _PASSED * sent.bit_s:
        return f"this machine sends no more than {format_rate(sent.bit_s)}"
    if applied >= _EASY.bit_s and bulk_rate(bulk) is None and 2 * bulk.received_bytes > bulk.sent_bytes:
        return "this machine reads slower than the link sends"
    if applied >= _EASY.bit_s and bulk.busiest_cpu >= _BUSY and sent and sent.bit_s < applied:
        busy = format_share(bulk.busiest_cpu)
        return f"this machine carries no more than {format_rate(measured)}: a CPU is {busy} busy"
    return ""
