"""Where the time of a run's steps went, before any cause is named: computing, waiting for the slowest rank, waiting
for the network.

Ranks that share what they learn wait for the slowest of them, so a step's wait has two parts: the rank that waited
least waited for the network alone; what the others waited longer, they waited for that rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low

from harness.experiment.report.analysis.curves import together
from harness.experiment.report.load.records import RecordedRun, RecordedStep


@dataclass(frozen=True)
class Waits:
    """Seconds of the steps that all ranks recorded, added up.

    Args:
        steps: how many.
        seconds: that they took, mean over ranks.
        by_rank: that each rank computed.
        compute: that the median rank computed (of two, the faster): what the run would take without any wait.
        slowest: the rank that computed longest.
        behind: how much longer than `compute` that was.
        network: what the rank that waited least waited, per step.
        network_of: that of each step, in order.
        begun, ended: of the first and the last step, seconds since the epoch.
    """

    steps: int
    seconds: float
    by_rank: Mapping[int, float]
    compute: float
    slowest: int
    behind: float
    network: float
    network_of: tuple[float, ...]
    begun: float
    ended: float

    @property
    def uneven(self) -> float:
        """Seconds that are neither of the three: ranks were slow in turn."""
        return max(0.0, self.seconds - self.compute - self.behind - self.network)


def waits(run: RecordedRun, since: float = float("-inf"), until: float = float("inf")) -> Waits | None:
    """The waits of a run's steps; None where no step was recorded by all ranks.

    Args:
        run: the run.
        since, until: seconds since the epoch between which steps must begin and end.
    """
    steps = [
        of_ranks
        for of_ranks in together(rank.steps for rank in run.ranks).values()
        if all(since <= step.time - step.seconds and step.time <= until for step in of_ranks)
    ]
    return _sum([rank.rank for rank in run.ranks if rank.steps], steps) if steps else None


def _sum(ranks: Sequence[int], steps: Sequence[Sequence[RecordedStep]]) -> Waits:
    by_rank = {rank: sum(step[place].seconds_compute for step in steps) for place, rank in enumerate(ranks)}
    slowest = max(by_rank, key=by_rank.__getitem__)
    compute = median_low(by_rank.values())
    network = tuple(min(record.seconds_comm for record in step) for step in steps)
    return Waits(
        steps=len(steps),
        seconds=sum(fmean(record.seconds for record in step) for step in steps),
        by_rank=by_rank,
        compute=compute,
        slowest=slowest,
        behind=by_rank[slowest] - compute,
        network=sum(network),
        network_of=network,
        begun=min(record.time - record.seconds for step in steps for record in step),
        ended=max(record.time for step in steps for record in step),
    )
