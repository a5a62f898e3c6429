"""How much of their limits shared capacities carried: uplinks, downlinks and trunks, over time and in all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from harness.experiment.report.analysis.limits import by_name, limits_over_time
from harness.experiment.report.analysis.links import WINDOW, CapMoment, cap_moments
from harness.experiment.report.analysis.utilisation import MOST_BINS, mean_shares
from harness.experiment.report.load.records import RecordedRun
from harness.model.capacity import Capacity
from harness.model.plan import NetworkPlan
from harness.model.units import is_whole_number


@dataclass(frozen=True)
class CapUse:
    """A shared capacity in a run's steps. Rates count its overhead, as the limit does.

    Args:
        name: ``uplink 2``, ``downlink 2`` or ``trunk eu->us``.
        rate: its limit when the run began, in bit/s; None: it had none.
        bit_s: what it carried, mean over time.
        peak_bit_s: the most in a window of a second.
        dropped: packets that found its queue full.
        share: of the limit that it had at each time, the mean over time; None where it never had one.
        peak_share: the most of that in a window of a second.
    """

    name: str
    rate: float | None
    bit_s: float
    peak_bit_s: float
    dropped: int
    share: float | None
    peak_share: float | None


@dataclass(frozen=True)
class CapStretch:
    """A capacity in a stretch of time, in seconds of training: the share of its limit that it carried."""

    name: str
    start: float
    end: float
    share: float


def title(name: str) -> str:
    """A capacity in a sentence: ``the uplink of node 2``, ``trunk eu->us``."""
    side, _, rank = name.partition(" ")
    return name if side == "trunk" else f"the {side} of node {rank}"


def planned(plan: NetworkPlan | None, name: str) -> Capacity | None:
    """What a capacity was when the run began; None where it had no limit, or is not known."""
    side, _, of = name.partition(" ")
    if plan is None:
        return None
    if side == "trunk":
        return plan.trunk_capacities.get((of.partition("->")[0], of.partition("->")[2]))
    shape = plan.nodes.get(int(of)) if is_whole_number(of) else None
    return getattr(shape, side, None)


def cap_uses(run: RecordedRun) -> list[CapUse]:
    """Every capacity that was counted, from the first step on, by name."""
    limit = _limits(run)
    return [_use(name, moments, run.plan, limit) for name, moments in by_name(cap_moments(run, WINDOW)).items()]


def cap_stretches(run: RecordedRun, bins: int = MOST_BINS) -> list[CapStretch]:
    """The share of its limit that each capacity carried, in up to so many stretches of equal length."""
    limit = _limits(run)
    shares = {
        name: [(moment, _bit_s(moment, held) / held.rate.bit_s) for moment in moments if (held := limit(moment))]
        for name, moments in by_name(cap_moments(run, 0.0)).items()
    }
    return [CapStretch(name, start, end, share) for name, start, end, share in mean_shares(shares, bins)]


def _limits(run: RecordedRun) -> Callable[[CapMoment], Capacity | None]:
    return limits_over_time(run, lambda change: change.caps, lambda name: planned(run.plan, name))


def _bit_s(moment: CapMoment, capacity: Capacity | None) -> float:
    """What it carried, with the bytes that its limit counts beside a frame's own."""
    return moment.bit_s + 8 * (capacity.overhead if capacity else 0) * moment.packet_s


def _use(
    name: str, moments: list[CapMoment], plan: NetworkPlan | None, limit: Callable[[CapMoment], Capacity | None]
) -> CapUse:
    held = [(moment, limit(moment)) for moment in moments]
    carried = [(_bit_s(moment, capacity), moment.duration) for moment, capacity in held]
    shares = [(_bit_s(moment, one) / one.rate.bit_s, moment.duration) for moment, one in held if one]
    limited = math.fsum(duration for _, duration in shares)
    at_first = planned(plan, name)
    return CapUse(
        name=name,
        rate=at_first.rate.bit_s if at_first else None,
        bit_s=math.fsum(bit_s * duration for bit_s, duration in carried) / math.fsum(one for _, one in carried),
        peak_bit_s=max(bit_s for bit_s, _ in carried),
        dropped=round(math.fsum(moment.dropped * moment.duration for moment in moments)),
        share=math.fsum(share * duration for share, duration in shares) / limited if limited else None,
        peak_share=max((share for share, _ in shares), default=None),
    )
