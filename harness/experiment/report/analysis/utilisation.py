"""The use of directed edges: in all and over time, as a share of their rates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple

from harness.experiment.report.analysis.limits import by_name, limits_over_time
from harness.experiment.report.analysis.links import WINDOW, K, Moment, edge_moments
from harness.experiment.report.load.records import RecordedRun
from harness.model.link import Pair
from harness.model.plan import NetworkPlan
from harness.model.tcp import tcp_ceiling

MOST_BINS: Final = 60
"""The most stretches of a run's time: as many as can be told apart on a phone."""


@dataclass(frozen=True)
class Use:
    """An edge or a shared capacity in a run's steps.

    Args:
        rate: its limit when the run began, in bit/s; None: it had none.
        bit_s: what it carried, mean over time.
        peak_bit_s: the most in a window of a second.
        dropped: packets.
        share: of the limit at each time, mean over time; None where it never had one.
    """

    rate: float | None
    bit_s: float
    peak_bit_s: float
    dropped: int
    share: float | None


@dataclass(frozen=True)
class EdgeUse(Use):
    """One directed edge; ``one_tcp``: the most that one TCP connection (cubic) can get at first, in bit/s."""

    edge: Pair
    one_tcp: float | None


class Carried(NamedTuple, Generic[K]):
    """What an edge or a capacity carried in a moment, and its limit then, in bit/s; None: no limit."""

    moment: Moment[K]
    bit_s: float
    limit: float | None


class Stretch(NamedTuple, Generic[K]):
    """The share of its limit that an edge or a capacity used from ``start`` to ``end``, in seconds of training."""

    of: K
    start: float
    end: float
    share: float


def edge_uses(run: RecordedRun) -> list[EdgeUse]:
    """Every edge from the first step on, by its ranks."""
    return [
        EdgeUse(_rate(run.plan, edge), *sums(carried), edge=edge, one_tcp=_one_tcp(run.plan, edge))
        for edge, carried in _carried(run, WINDOW).items()
    ]


def use_stretches(run: RecordedRun, bins: int = MOST_BINS) -> list[Stretch[Pair]]:
    """The mean share of its rate that each edge carried, in at most ``bins`` stretches of equal length."""
    return list(mean_shares(_carried(run, 0.0), bins))


def _carried(run: RecordedRun, window: float) -> dict[Pair, list[Carried[Pair]]]:
    limit = limits_over_time(run, lambda change: change.rates, lambda edge: _rate(run.plan, edge))
    found = by_name(edge_moments(run, window)).items()
    return {edge: [Carried(moment, moment.bit_s, limit(moment)) for moment in moments] for edge, moments in found}


def mean_shares(carried: Mapping[K, Sequence[Carried[K]]], bins: int) -> Iterator[Stretch[K]]:
    """At most ``bins`` stretches of equal length with their mean shares; those without a share are left out."""
    shares = {which: _shares(of_one) for which, of_one in carried.items()}
    moments = [moment for of_one in shares.values() for moment, _ in of_one]
    if not moments:
        return
    start = max(0.0, min(moment.seconds - moment.duration for moment in moments))
    number = min(bins, max(map(len, shares.values())))
    width = (max(moment.seconds for moment in moments) - start) / number
    for which, of_one in shares.items():
        for place, share in enumerate(_means(of_one, start, width, number)):
            if share is not None:
                yield Stretch(which, start + place * width, start + (place + 1) * width, share)


def _shares(carried: Sequence[Carried[K]]) -> list[tuple[Moment[K], float]]:
    """The moments with a limit, and the share of it that was used."""
    return [(moment, bit_s / limit) for moment, bit_s, limit in carried if limit]


def sums(carried: Sequence[Carried[K]]) -> tuple[float, float, int, float | None]:
    """The fields of Use after the rate."""
    shares = _shares(carried)
    limited = math.fsum(moment.duration for moment, _ in shares)
    seconds = math.fsum(moment.duration for moment, _, _ in carried)
    return (
        math.fsum(bit_s * moment.duration for moment, bit_s, _ in carried) / seconds,
        max(bit_s for _, bit_s, _ in carried),
        round(math.fsum(moment.dropped * moment.duration for moment, _, _ in carried)),
        math.fsum(share * moment.duration for moment, share in shares) / limited if limited else None,
    )


def _rate(plan: NetworkPlan | None, edge: Pair) -> float | None:
    planned = plan.edges.get(edge) if plan else None
    return planned.shape.rate.bit_s if planned and planned.shape.rate else None


def _means(shares: Sequence[tuple[Moment[K], float]], start: float, width: float, number: int) -> list[float | None]:
    """The mean share in each stretch, weighted by the time of each moment in it; None: no share."""
    sums, seconds = [0.0] * number, [0.0] * number
    for moment, share in shares:
        begun = moment.seconds - moment.duration
        first = max(0, math.floor((begun - start) / width))
        last = min(number - 1, math.floor((moment.seconds - start) / width))
        for place in range(first, last + 1):
            low, high = start + place * width, start + (place + 1) * width
            within = min(high, moment.seconds) - max(low, begun)
            if within > 0:
                sums[place] += share * within
                seconds[place] += within
    return [total / second if second else None for total, second in zip(sums, seconds, strict=True)]


def _one_tcp(plan: NetworkPlan | None, edge: Pair) -> float | None:
    there, back = (plan.edges.get(pair) if plan else None for pair in (edge, edge[::-1]))
    return tcp_ceiling(there.effective, back.effective).bit_s if there and back else None
