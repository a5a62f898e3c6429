"""Compares requested, applied and measured values for each quantity of a link. Pure.

A verdict compares twice. What the engine reports must be what was requested, up to rounding. What was measured must lie
in an interval around what the engine reports, which is a tolerance (for the machine's share) plus the sampling error of
the measurement at the given confidence:

    rtt     max(0.5 ms, 2 %), plus the standard error of the median (of the mean where the delays are skewed: pareto, or
            cut at zero); the same for one way. Between two machines, the time of their unshaped path is added, and one
            way is not judged, because their clocks differ
    jitter  15 %, plus the standard error of a standard deviation, and upwards 0.3 ms for the path's own noise
    loss    no tolerance: the exact binomial interval, with fewer effective packets for losses in bursts
    rate    92 % to 103 %, plus the shift that late timers may cause in the time of the estimate; of a shared capacity
            on the path where that is less than the edge's rate

On a slow or busy machine, the intervals of RTT and jitter are wider upwards: by up to twice what the machine adds (late
wake-ups, of which a packet meets several, and a packet's time over its loopback, both measured), but at most by 1 ms or
the tolerance, whichever is larger. A row is machine-bound where the machine adds more than that, or where only twice
what it adds explains the value; a value beyond that is off. So is a rate that is too low, unless the sender could not
send it or the reader not read it; a busy CPU alone does not excuse it.

Units: seconds, shares between 0 and 1, bit/s on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.model.address import FRAME
from harness.model.link import LinkShape
from harness.model.machines import Path
from harness.model.node_plan import PlannedEdge
from harness.verify.binomial import CONFIDENCE
from harness.verify.caps import Cap, crossed
from harness.verify.samples import EchoSample, EdgeMeasurement
from harness.verify.verdict.loss import duplicate, loss, reorder
from harness.verify.verdict.rate import rate
from harness.verify.verdict.row import JudgedDirection, Quantity, Verdict
from harness.verify.verdict.rtt_and_jitter import by_one_clock, jitter, rtt

__all__ = ["Quantity", "Verdict", "judge"]


def judge(
    edge: PlannedEdge,
    back: PlannedEdge,
    applied: LinkShape,
    applied_back: LinkShape,
    measured: EdgeMeasurement,
    *,
    confidence: float = CONFIDENCE,
    caps: Sequence[Cap] = (),
    frame: int = FRAME,
    path: Path | None = None,
) -> list[Verdict]:
    """Every row of both directions of one edge.

    A direction that loses every packet has a row for its loss only; the other direction then has neither round trip nor
    jitter, because nothing comes back.

    Args:
        edge: as planned, from the first of ``measured.pair`` to the second.
        back: the opposite direction.
        applied: what the engine reports for edge.
        applied_back: what it reports for back.
        measured: the probes' samples.
        confidence: of each row's interval.
        caps: the shared capacities that the engine reports.
        frame: bytes of a full frame.
        path: from the first node's machine to the second's, if they differ.
    """
    echoes = by_one_clock(measured.echoes, applied, measured.ipv6, path) if path else measured.echoes
    mirrored = tuple(EchoSample(echo.backward, echo.forward) for echo in echoes)
    there, home = crossed(caps, edge.pair), crossed(caps, back.pair)
    forward = JudgedDirection(
        edge, back, applied, applied_back, measured, echoes, measured.forward, confidence, there, home, frame, path
    )
    backward = JudgedDirection(
        back, edge, applied_back, applied, measured, mirrored, measured.backward, confidence, home, there, frame, path
    )
    return [*_rows(forward), *_rows(backward)]


def _rows(way: JudgedDirection) -> list[Verdict]:
    if way.requested.mean_loss == 1:
        return [loss(way)]
    echoed = way.back.effective.mean_loss < 1
    rows = [*((rtt(way), jitter(way)) if echoed else ()), loss(way), rate(way), duplicate(way), reorder(way)]
    found = [row for row in rows if row is not None]
    if all(row.why_not for row in found):  # nothing was measured: then the link is not ok
        return [replace(row, ok=False) for row in found]
    return found
