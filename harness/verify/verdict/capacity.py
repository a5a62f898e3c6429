"""The verdict on a shared capacity: the rate of all its flows together, and how fairly they share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from harness.model.capacity import Capacity
from harness.model.distribution import form
from harness.model.format import format_rate
from harness.verify.caps import CapPlace, counted
from harness.verify.loads import CapacityLoad
from harness.verify.samples import LoadMeasurement
from harness.verify.sharing import jain, together
from harness.verify.stats import bulk_rate, spread
from harness.verify.verdict.rate import compared_with, rounding
from harness.verify.verdict.row import UNMEASURED, Row

FAIR: Final = 0.95
"""Jain's index from which on a capacity is shared fairly: one of 4 flows may get 0.53 of what the others do."""


@dataclass(frozen=True)
class CapVerdict(Row):
    """One row of a shared capacity.

    Args:
        cap: which.
        jain: Jain's index of the flows' rates over their fair rates; None: not measured.
        flows: their number.
    """

    cap: CapPlace = field(kw_only=True)
    jain: float | None = field(default=None, kw_only=True)
    flows: int = field(default=0, kw_only=True)

    @property
    def place(self) -> str:
        """The node, or the two regions."""
        return str(self.cap)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON in SI units: as an edge's row, with ``src`` and ``dst`` null."""
        fields = asdict(self)
        del fields["cap"]
        regions = None if self.cap.regions is None else list(self.cap.regions)
        return {"src": None, "dst": None, "rank": self.cap.rank, "regions": regions, **fields}


def judge_cap(
    load: CapacityLoad, applied: Capacity | None, measured: LoadMeasurement, lossy: Mapping[tuple[int, int], float]
) -> CapVerdict:
    """The row of one capacity.

    Args:
        load: what was sent.
        applied: what the engine reports.
        measured: what arrived.
        lossy: the share of packets that each edge loses.
    """
    cap, frame = load.cap, load.frame
    requested, held = cap.capacity, applied.rate.bit_s if applied else None
    row = CapVerdict(cap.place.kind, requested.rate.bit_s, held, cap=cap.place, note=UNMEASURED, flows=len(load.flows))
    if not load.flows:
        return row.left_out().compared(rounding(row.requested), format_rate)
    found = together(measured.samples, measured.busiest_cpu)
    if applied is None or found is None:
        row = row if applied is None else row.failed("no packet arrived")
        return row.compared(rounding(row.requested), format_rate)
    train, rates = found
    rate = bulk_rate(train)
    got = None if rate is None else counted(rate.bit_s, applied.overhead, frame)
    fair = counted(load.fair_bit_s, applied.overhead, frame)
    limit, passed = min(float(applied.rate.bit_s), fair), 1.0
    if fair < applied.rate.bit_s * (1 - 1e-6) or cap.place.kind != "downlink":  # lost packets do not fill it
        passed -= max(lossy[flow.pair] for flow in load.flows)
    samples = sum(len(sample.points) for sample in measured.samples)
    index = jain([one / flow.fair_bit_s for one, flow in zip(rates, load.flows, strict=True)])
    row = replace(row, measured=got, samples=samples, jain=index, note="")
    late = spread(measured.timers_late, form("normal").fence)
    row = compared_with(row, limit, train, late, passed=passed, what=cap.place.kind)
    return _noted(row, fair, requested.rate.bit_s).compared(rounding(row.requested), format_rate)


def _noted(row: CapVerdict, fair: float, requested: float) -> CapVerdict:
    """The row with Jain's index in its note, and off where the flows do not share fairly."""
    if row.jain is None or row.flows < 2:
        return row
    note = f"Jain's index {row.jain:.3f} of {row.flows} flows"
    if row.ok and not row.machine_bound and row.jain < FAIR:
        return row.failed(f"it is not shared fairly: {note}")
    if row.ok and not row.note and fair < requested * (1 - 1e-6):
        note = f"these edges carry no more than {format_rate(fair)} together; {note}"
    return row.with_note("; ".join(text for text in (row.note, note) if text))
