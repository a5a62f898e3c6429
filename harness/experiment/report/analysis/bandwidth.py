"""Bus bandwidth of a run's collectives against what its links allow.

Records say how often each collective ran, with how many bytes, and how long steps waited for communication in all,
but not how long each collective took. So both figures are of the whole run:

    bus bandwidth = sum over collectives of (bytes x bus factor) / seconds waited
    bound         = sum over collectives of (bytes x bus factor) / sum of (count x least seconds at their mean size)

with bytes and bus factors of nccl-tests (NVIDIA/nccl-tests: doc/PERFORMANCE.md) and the least seconds of
harness.model.bound. Of every step, the wait of the rank that waited least counts: the others waited longer for that
rank, not for the network. Neither figure includes steps after the last count of collectives, or steps whose count was
lost when the run was resumed.

The least time is convex in the size, so at the mean size it is at most the mean of the least times, and the bound holds
for different sizes. It holds for collectives one after another. A strategy that communicates while it computes, or runs
several collectives at once, can wait less; then `hidden` is true, and the bandwidth is only apparent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.experiment.report.analysis.curves import StepCost
from harness.experiment.report.load.rank_records import Collectives, Ops, Rank
from harness.experiment.report.load.records import RecordedRun
from harness.model.bound import LinkBound, bus_factor
from harness.model.plan import NetworkPlan

_KINDS: Final = {
    "all_reduce": ("all_reduce", "allreduce", "allreduce_coalesced", "all_reduce_coalesced"),
    "all_gather": ("all_gather", "allgather", "_all_gather_base", "_allgather_base", "all_gather_into_tensor"),
    "reduce_scatter": ("reduce_scatter", "_reduce_scatter_base", "reduce_scatter_tensor"),
    "all_to_all": ("all_to_all", "alltoall", "alltoall_base", "all_to_all_single"),
    "broadcast": ("broadcast", "_broadcast_oop"),
    "barrier": ("barrier",),
}
"""The names in torch's flight recorder of each collective of harness.model.bound."""
KIND_OF: Final = {name: kind for kind, names in _KINDS.items() for name in names}


@dataclass(frozen=True)
class CollectiveTraffic:
    """One kind of collective in one run, as one rank counted it.

    Args:
        kind: its name in harness.model.bound, else torch's (send, recv).
        count: how often it ran.
        bytes: moved, as nccl-tests counts them.
        bound_seconds: the least time that the links allow for all of them one after another; None: unknown.
    """

    kind: str
    count: int
    bytes: int
    bound_seconds: float | None


@dataclass(frozen=True)
class BusBandwidth:
    """A run's bus bandwidth and its bound.

    Args:
        traffic: by kind of collective; the figures include only kinds with a bound.
        bit_s: bus bandwidth over the wait for communication, of the rank that waited least in each step; None where
            there was none.
        bound_bit_s: the most that the links allow; None where nothing limits it.
        missed: collectives that were not counted, by which the figures are too low.
    """

    traffic: tuple[CollectiveTraffic, ...]
    bit_s: float | None
    bound_bit_s: float | None
    missed: int = 0

    @property
    def hidden(self) -> bool:
        """Whether steps waited less than their collectives need one after another: part was hidden behind computing."""
        return self.bit_s is not None and self.bound_bit_s is not None and self.bit_s > self.bound_bit_s

    @property
    def share(self) -> float | None:
        """Share of the bound; None if one of the two is unknown."""
        return self.bit_s / self.bound_bit_s if self.bit_s is not None and self.bound_bit_s else None


def bus_bandwidth(ranks: Sequence[Rank], plan: NetworkPlan | None, costs: Sequence[StepCost]) -> BusBandwidth | None:
    """The bus bandwidth of a run by the rank that counted furthest; None where no collective was recorded.

    ``plan``: when the run began; ``costs``: of every step that all ranks recorded.
    """
    last = costs[-1].step if costs else 0
    counter = max(ranks, key=lambda rank: max((one.step for one in _until(rank, last)), default=0), default=Rank(0))
    counted = _until(counter, last)
    size = plan.size if plan else len(ranks)
    traffic = tuple(_traffic(_by_kind(counted), LinkBound(plan) if plan else None, size))
    bounded = [one for one in traffic if one.kind in _KINDS and one.bytes]
    crossed = sum(one.bytes * bus_factor(one.kind, size) for one in bounded) * 8
    if not crossed:
        return None
    waited = sum(cost.least_comm for cost in costs if cost.step <= counted[-1].step and counter.counts(cost.step))
    least = sum(one.bound_seconds or 0.0 for one in bounded)
    return BusBandwidth(
        traffic=traffic,
        bit_s=crossed / waited if waited > 0 else None,
        bound_bit_s=crossed / least if least > 0 else None,
        missed=sum(one.missed for one in counted),
    )


def no_bus_reason(runs: Sequence[RecordedRun]) -> str:
    """Why none of these runs has a bus bandwidth, in words."""
    counted = [one for run in runs for rank in run.ranks for one in rank.collectives]
    kinds = _by_kind(counted)
    if not any(run.ranks for run in runs):
        return "no rank recorded anything"
    if not counted:
        return "ended before its collectives were first counted"
    if not kinds:
        return "it ran no collective"
    if not any(kind in _KINDS for kind in kinds):
        return f"{' and '.join(sorted(kinds))} have no bus bandwidth"
    if not any(ops.bytes for kind, ops in kinds.items() if kind in _KINDS):
        return f"only {' and '.join(sorted(kinds))}, without bytes"
    return "no step that all ranks recorded has a count"


def _until(rank: Rank, last: int) -> list[Collectives]:
    """A rank's counts of collectives in the steps that all ranks recorded."""
    return [counted for counted in rank.collectives if counted.step <= last]


def _by_kind(counted: Iterable[Collectives]) -> dict[str, Ops]:
    """The sum of all counts by kind; torch has several names for some."""
    kinds: dict[str, Ops] = {}
    for one in counted:
        for name, ops in one.ops.items():
            plain = name.rpartition(":")[2]
            kind = KIND_OF.get(plain, plain)
            before = kinds.get(kind, Ops(0, 0))
            kinds[kind] = Ops(before.count + ops.count, before.bytes + ops.bytes)
    return kinds


def _traffic(kinds: Mapping[str, Ops], bound: LinkBound | None, ranks: int) -> list[CollectiveTraffic]:
    found = []
    for kind, ops in sorted(kinds.items(), key=lambda item: -item[1].bytes):
        moved = ops.bytes * ranks if kind == "all_gather" else ops.bytes
        least = None
        if bound is not None and kind in _KINDS and ops.count:
            once = bound.seconds(kind, moved // ops.count)
            least = once * ops.count if math.isfinite(once) else None
        found.append(CollectiveTraffic(kind, ops.count, moved, least))
    return found
