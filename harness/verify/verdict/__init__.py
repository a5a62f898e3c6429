"""Compares what was requested, applied and measured for each quantity of a link. Pure.

A verdict compares twice. What the engine reports must be what was requested, up to rounding. What was measured must lie
in an interval around what the engine reports, made of a tolerance (what the machine may add) and of the sampling error
of that measurement at the given confidence:

    rtt     max(0.5 ms, 2 %), and the standard error of the median, of the mean where the delays are skewed (pareto, or
            cut at zero); one way as well. Between two machines what their path takes by itself is expected on top, and
            there is nothing to say of one way: their clocks differ
    jitter  15 %, the standard error of a standard deviation, and above that 0.3 ms for the path's own noise
    loss    no tolerance: the exact binomial interval, for losses in bursts with fewer effective packets
    rate    92 % to 103 %, and what the timers' lateness may shift in the time that the estimate spans; where a shared
            capacity on the way is less than the edge's rate, of that, for a flow that is alone gets no more

RTT and jitter are wider upwards on a slow or busy machine: up to twice what it adds itself (how late its sleeps end,
of which a packet meets several, and a packet's way over its loopback, measured beside them), but by no more than 1 ms
or the tolerance, whichever is larger. A row is machine-bound where the machine itself adds more than that, or where
only twice what it adds explains the value; a value beyond even that is off. So is a rate that is too low, unless the
sender could not send it or the reader not read it: a busy CPU alone is no excuse.

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

    A direction that loses every packet, because it is down or was requested to, has a row for its loss only; then the
    other direction has neither round trip nor jitter, since nothing comes back.

    Args:
        edge: as planned, from the first of ``measured.pair`` to the second.
        back: the opposite direction.
        applied: what the engine reports for edge.
        applied_back: what it reports for back.
        measured: the samples that the probes took.
        confidence: of each row's interval.
        caps: the shared capacities that the engine reports.
        frame: bytes of a full frame.
        path: between the machines of the two nodes, where these are two: from the first's to the second's.
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
    if all(row.why_not for row in found):  # a link of which nothing is known is not a link that is right
        return [replace(row, ok=False) for row in found]
    return found
