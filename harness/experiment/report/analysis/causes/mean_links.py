"""The mean links of a run whose links changed while it trained: by a trace, a ramp or a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from harness.experiment.report.load.records import RecordedRun
from harness.model.link import LinkShape, Pair
from harness.model.node_plan import PlannedEdge
from harness.model.units import Rate, Ratio, Time

Part = tuple[float, LinkShape]
"""The seconds for which a link had a shape."""


def with_mean_links(run: RecordedRun, since: float, until: float) -> RecordedRun:
    """The run with a plan whose edges have the mean delay, rate and loss between two times, in seconds since the epoch.

    Without changes in that time, it is the same run.
    """
    if run.plan is None or until <= since:
        return run
    history: dict[Pair, list[tuple[float, LinkShape]]] = {}
    for change in run.changes:
        for pair, shape in change.shapes.items():
            if pair in run.plan.edges:
                history.setdefault(pair, []).append((change.acknowledged, shape))
    edges = []
    for pair, later in history.items():
        parts = _parts(run.plan.edges[pair], later, since, until)
        if parts and parts != [(until - since, run.plan.edges[pair].shape)]:
            edges.append(replace(run.plan.edges[pair], shape=_mean(parts)))
    return replace(run, plan=run.plan.changed(edges)) if edges else run


def _parts(edge: PlannedEdge, later: Sequence[tuple[float, LinkShape]], since: float, until: float) -> list[Part]:
    held = [(since, edge.shape), *later]
    ends = [at for at, _ in later] + [until]
    parts = [(min(end, until) - max(begin, since), shape) for (begin, shape), end in zip(held, ends, strict=True)]
    return [(seconds, shape) for seconds, shape in parts if seconds > 0]


def _mean(parts: Sequence[Part]) -> LinkShape:
    """Mean delay, loss and rate, and the last overhead; no rate where there was none most of the time."""
    total = sum(seconds for seconds, _ in parts)
    rated = [(seconds, shape.rate.bit_s) for seconds, shape in parts if shape.rate]
    limited = sum(seconds for seconds, _ in rated)
    rate = Rate(round(sum(seconds * bit_s for seconds, bit_s in rated) / limited)) if 2 * limited > total else None
    delay = Time(round(sum(seconds * shape.delay.ns for seconds, shape in parts) / total))
    loss = Ratio(Fraction(round(sum(seconds * shape.mean_loss for seconds, shape in parts) / total * 10**8), 10**8))
    return LinkShape(delay=delay, loss=loss, rate=rate, overhead=parts[-1][1].overhead)
