"""How much of its rate each directed edge carried, over time and in all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.experiment.report.analysis.links import WINDOW, EdgeMoment, edge_moments
from harness.experiment.report.load.records import RecordedRun
from harness.model.plan import NetworkPlan, Pair

MOST_BINS: Final = 60
"""Stretches into which a run's time is cut: as many as can be told apart on a phone."""


@dataclass(frozen=True)
class EdgeUse:
    """One directed edge in a run's steps.

    Args:
        edge: it.
        rate: its limit when the run began, in bit/s; None: it had none.
        bit_s: what it carried, mean over time.
        peak_bit_s: the most in a window of a second.
        dropped: packets.
    """

    edge: Pair
    rate: float | None
    bit_s: float
    peak_bit_s: float
    dropped: int

    @property
    def share(self) -> float | None:
        """Of its rate, the mean."""
        return self.bit_s / self.rate if self.rate else None

    @property
    def peak_share(self) -> float | None:
        """Of its rate, the most."""
        return self.peak_bit_s / self.rate if self.rate else None


@dataclass(frozen=True)
class UseStretch:
    """An edge in a stretch of time, in seconds of training: the share of its rate that it carried."""

    edge: Pair
    start: float
    end: float
    share: float


def edge_uses(run: RecordedRun) -> list[EdgeUse]:
    """Every edge from the first step on, by its ranks."""
    return [_use(edge, moments, run.plan) for edge, moments in sorted(_by_edge(run, WINDOW).items())]


def use_stretches(run: RecordedRun, bins: int = MOST_BINS) -> list[UseStretch]:
    """The share of its rate that each edge with one carried, in up to so many stretches of equal length."""
    by_edge = _by_edge(run, 0.0)
    ends = [moment.seconds for moments in by_edge.values() for moment in moments]
    if not ends:
        return []
    start = max(0.0, min(moment.seconds - moment.duration for moments in by_edge.values() for moment in moments))
    number = min(bins, max(len(moments) for moments in by_edge.values()))
    width = (max(ends) - start) / number
    found = []
    for edge, moments in sorted(by_edge.items()):
        rate = _rate(run.plan, edge)
        if rate is None or width <= 0:
            continue
        for place, bit_s in enumerate(_means(moments, start, width, number)):
            if bit_s is not None:
                found.append(UseStretch(edge, start + place * width, start + (place + 1) * width, bit_s / rate))
    return found


def _by_edge(run: RecordedRun, window: float) -> dict[Pair, list[EdgeMoment]]:
    """The moments of every edge that end after training began."""
    found: dict[Pair, list[EdgeMoment]] = {}
    for moment in edge_moments(run, window):
        if moment.seconds > 0:
            found.setdefault(moment.edge, []).append(moment)
    return found


def _use(edge: Pair, moments: Sequence[EdgeMoment], plan: NetworkPlan | None) -> EdgeUse:
    seconds = math.fsum(moment.duration for moment in moments)
    return EdgeUse(
        edge=edge,
        rate=_rate(plan, edge),
        bit_s=math.fsum(moment.bit_s * moment.duration for moment in moments) / seconds,
        peak_bit_s=max(moment.bit_s for moment in moments),
        dropped=round(math.fsum(moment.dropped * moment.duration for moment in moments)),
    )


def _rate(plan: NetworkPlan | None, edge: Pair) -> float | None:
    planned = plan.edges.get(edge) if plan else None
    return planned.shape.rate.bit_s if planned and planned.shape.rate else None


def _means(moments: Sequence[EdgeMoment], start: float, width: float, number: int) -> list[float | None]:
    """The mean rate in each stretch, weighted by the time that a moment has in it; None where there is none."""
    bits, seconds = [0.0] * number, [0.0] * number
    for moment in moments:
        begun = moment.seconds - moment.duration
        first = max(0, math.floor((begun - start) / width))
        last = min(number - 1, math.floor((moment.seconds - start) / width))
        for place in range(first, last + 1):
            low, high = start + place * width, start + (place + 1) * width
            within = min(high, moment.seconds) - max(low, begun)
            if within > 0:
                bits[place] += moment.bit_s * within
                seconds[place] += within
    return [bit / second if second else None for bit, second in zip(bits, seconds, strict=True)]
