"""How much of their limits shared capacities carried: uplinks, downlinks and trunks, over time and in all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.experiment.report.analysis.limits import by_name, limits_over_time
from harness.experiment.report.analysis.links import WINDOW, CapMoment, cap_moments
from harness.experiment.report.analysis.utilisation import MOST_BINS, Stretch, mean_shares, shares_of, sums
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
    bit_s, limit = _counted(run)
    return [
        CapUse(name, at_first.rate.bit_s if at_first else None, **sums(moments, bit_s, limit))
        for name, moments in by_name(cap_moments(run, WINDOW)).items()
        for at_first in [planned(run.plan, name)]
    ]


def cap_stretches(run: RecordedRun, bins: int = MOST_BINS) -> list[Stretch[str]]:
    """The share of its limit that each capacity carried, in up to so many stretches of equal length."""
    counted = _counted(run)
    shares = {name: shares_of(moments, *counted) for name, moments in by_name(cap_moments(run, 0.0)).items()}
    return list(mean_shares(shares, bins))


def _counted(run: RecordedRun) -> tuple[Callable[[CapMoment], float], Callable[[CapMoment], float | None]]:
    """What a capacity carried, with the bytes that its limit counts beside a frame's own; and its limit, in bit/s."""
    held = limits_over_time(run, lambda change: change.caps, lambda name: planned(run.plan, name))

    def bit_s(moment: CapMoment) -> float:
        capacity = held(moment)
        return moment.bit_s + 8 * (capacity.overhead if capacity else 0) * moment.packet_s

    def limit(moment: CapMoment) -> float | None:
        capacity = held(moment)
        return capacity.rate.bit_s if capacity else None

    return bit_s, limit
