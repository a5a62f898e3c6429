"""The use of shared capacities (uplinks, downlinks, trunks): in all and over time, as a share of their limits."""

from __future__ import annotations

from dataclasses import dataclass

from harness.experiment.report.analysis.limits import by_name, limits_over_time
from harness.experiment.report.analysis.links import WINDOW, CapMoment, cap_moments
from harness.experiment.report.analysis.utilisation import MOST_BINS, Carried, Stretch, Use, mean_shares, sums
from harness.experiment.report.load.records import RecordedRun
from harness.model.capacity import Capacity
from harness.model.plan import NetworkPlan
from harness.model.units import is_whole_number


@dataclass(frozen=True)
class CapUse(Use):
    """A shared capacity: ``uplink 2``, ``downlink 2`` or ``trunk eu->us``. Rates include its overhead, as its limit."""

    name: str


def title(name: str) -> str:
    """A capacity in a sentence: ``the uplink of node 2``, ``trunk eu->us``."""
    side, _, rank = name.partition(" ")
    return name if side == "trunk" else f"the {side} of node {rank}"


def planned(plan: NetworkPlan | None, name: str) -> Capacity | None:
    """A capacity as it was when the run began; None where it had no limit, or is unknown."""
    side, _, of = name.partition(" ")
    if plan is None:
        return None
    if side == "trunk":
        return plan.trunk_capacities.get((of.partition("->")[0], of.partition("->")[2]))
    shape = plan.nodes.get(int(of)) if is_whole_number(of) else None
    return getattr(shape, side, None)


def cap_uses(run: RecordedRun) -> list[CapUse]:
    """Every capacity with counters, from the first step on, by name."""
    uses = []
    for name, carried in _carried(run, WINDOW).items():
        at_first = planned(run.plan, name)
        uses.append(CapUse(at_first.rate.bit_s if at_first else None, *sums(carried), name=name))
    return uses


def cap_stretches(run: RecordedRun, bins: int = MOST_BINS) -> list[Stretch[str]]:
    """The mean share of its limit that each capacity carried, in at most ``bins`` stretches of equal length."""
    return list(mean_shares(_carried(run, 0.0), bins))


def _carried(run: RecordedRun, window: float) -> dict[str, list[Carried[str]]]:
    """What each capacity carried in its moments, overhead included."""
    limit = limits_over_time(run, lambda change: change.caps, lambda name: planned(run.plan, name))

    def carried(moment: CapMoment) -> Carried[str]:
        if (capacity := limit(moment)) is None:
            return Carried(moment, moment.bit_s, None)
        return Carried(moment, moment.bit_s + 8 * capacity.overhead * moment.packet_s, capacity.rate.bit_s)

    return {name: list(map(carried, moments)) for name, moments in by_name(cap_moments(run, window)).items()}
