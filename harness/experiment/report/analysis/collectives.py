"""The number of collectives of a run, and their times where they were timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from harness.experiment.report.analysis.bandwidth import KIND_OF, CollectiveTraffic
from harness.experiment.report.analysis.flows import p95
from harness.experiment.report.load.rank_records import Rank, TimedCollective


@dataclass(frozen=True)
class CollectiveTimes:
    """One kind of collective of a run.

    Args:
        op: all_reduce, broadcast, ...
        count: how often it ran, on the rank that recorded most.
        bytes: of the input tensors of these.
        median, p95: seconds until one was complete, over all ranks; None where none was timed.
        total: seconds of all of them, mean over ranks; None where none was timed.
        untimed: how many of `count` could not be timed.
    """

    op: str
    count: int
    bytes: int
    median: float | None = None
    p95: float | None = None
    total: float | None = None
    untimed: int = 0


def collective_times(ranks: Sequence[Rank], counted: Sequence[CollectiveTraffic] = ()) -> list[CollectiveTimes]:
    """By kind, the one that took longest first; ``counted`` is used where ranks recorded no single collective."""
    by_op: dict[str, list[list[TimedCollective]]] = {}
    for rank in ranks:
        of_rank: dict[str, list[TimedCollective]] = {}
        for one in rank.timed:
            of_rank.setdefault(KIND_OF.get(one.op, one.op), []).append(one)
        for op, found in of_rank.items():
            by_op.setdefault(op, []).append(found)
    if not by_op:
        return [CollectiveTimes(one.kind, one.count, one.bytes, untimed=one.count) for one in counted]
    return sorted((_times(op, found) for op, found in by_op.items()), key=lambda one: -(one.total or 0.0))


def _times(op: str, by_rank: Sequence[Sequence[TimedCollective]]) -> CollectiveTimes:
    most = max(by_rank, key=len)
    seconds = [[one.seconds for one in of_rank if one.seconds is not None] for of_rank in by_rank]
    together = [one for of_rank in seconds for one in of_rank]
    untimed = sum(one.seconds is None for one in most)
    counted = CollectiveTimes(op, len(most), sum(one.bytes for one in most), untimed=untimed)
    if not together:
        return counted
    total = fmean(sum(of_rank) for of_rank in seconds if of_rank)
    return replace(counted, median=median(together), p95=p95(together), total=total)
