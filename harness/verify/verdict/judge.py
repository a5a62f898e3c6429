"""All verdicts of an edge."""

from __future__ import annotations

from harness.model.link import LinkShape
from harness.model.plan import PlannedEdge
from harness.verify.stats import CONFIDENCE, EchoSample, EdgeMeasurement
from harness.verify.verdict.delay import jitter, rtt
from harness.verify.verdict.loss import duplicate, loss, reorder
from harness.verify.verdict.rate import rate
from harness.verify.verdict.row import Verdict, Way


def judge(
    edge: PlannedEdge,
    back: PlannedEdge,
    applied: LinkShape,
    applied_back: LinkShape,
    measured: EdgeMeasurement,
    *,
    confidence: float = CONFIDENCE,
) -> list[Verdict]:
    """Every row of both directions of one edge.

    A direction that loses every packet, because it is down or asked to, has a row for its loss only; then the other one
    has neither round trip nor jitter, for nothing comes back.

    Args:
        edge: as planned, from the first of ``measured.pair`` to the second.
        back: the other way.
        applied: what the engine holds for edge.
        applied_back: what it holds for back.
        measured: what traffic saw.
        confidence: of each row's interval.
    """
    mirrored = tuple(EchoSample(echo.backward, echo.forward) for echo in measured.echoes)
    there = Way(edge, back, applied, applied_back, measured, measured.echoes, measured.forward, confidence)
    home = Way(back, edge, applied_back, applied, measured, mirrored, measured.backward, confidence)
    return [*_rows(there), *_rows(home)]


def _rows(way: Way) -> list[Verdict]:
    if way.requested.mean_loss == 1:
        return [loss(way)]
    echoed = way.back.effective.mean_loss < 1
    rows = [*((rtt(way), jitter(way)) if echoed else ()), loss(way), rate(way), duplicate(way), reorder(way)]
    return [row for row in rows if row is not None]
