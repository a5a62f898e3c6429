"""How long a run's steps computed and waited.

Ranks wait for the slowest of them, so a step's wait has two parts: the rank that waited least waited for the network
alone; the rest of the others' waits was for that rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low
from typing import Final

from harness.experiment.report.analysis.curves import together
from harness.experiment.report.load.rank_records import RecordedStep
from harness.experiment.report.load.records import RecordedRun

_TALKS: Final = 0.1
"""Share of the mean wait from which a step counts as one that communicates; with H = 20, one in twenty does."""
_FLOOR: Final = 0.1
"""Share of these steps below the floor: few enough that the floor is of a step without lost packets."""


@dataclass(frozen=True)
class Waits:
    """Seconds of the steps that all ranks recorded, added up.

    Args:
        steps: their number.
        seconds: that they took, mean over ranks.
        by_rank: computing, by rank.
        longest_wait: of the rank that waited longest in all.
        network_of: the wait of the rank that waited least, of each step in order.
        begun, ended: of the first and the last step, seconds since the epoch.
        unit: the word for a step.
    """

    steps: int
    seconds: float
    by_rank: Mapping[int, float]
    longest_wait: float
    network_of: tuple[float, ...]
    begun: float
    ended: float
    unit: str = "step"

    @property
    def compute(self) -> float:
        """Computing of the median rank (of two, the faster): the time of the run without any wait."""
        return median_low(self.by_rank.values())

    @property
    def slowest(self) -> int:
        """The rank that computed longest."""
        return max(self.by_rank, key=self.by_rank.__getitem__)

    @property
    def network(self) -> float:
        """Waits for the network."""
        return sum(self.network_of)

    @property
    def straggler(self) -> float:
        """How long the others waited for the slowest rank, at most as long as it computed more than they."""
        return max(0.0, min(self.by_rank[self.slowest] - self.compute, self.longest_wait - self.network))

    @property
    def talking(self) -> list[float]:
        """The waits for the network of steps that communicate, ascending."""
        return sorted(wait for wait in self.network_of if wait > _TALKS * self.network / self.steps)

    @property
    def floor(self) -> float | None:
        """The least wait for the network (the best tenth) times the steps that communicate; None under ten steps."""
        if self.steps < 1 / _FLOOR:
            return None
        talking = self.talking
        return talking[int(_FLOOR * len(talking))] * len(talking) if talking else 0.0

    @property
    def step(self) -> float:
        """Seconds of a step, mean."""
        return self.seconds / self.steps


def waits(run: RecordedRun, since: float = -math.inf, until: float = math.inf) -> Waits | None:
    """The waits of the steps that all ranks recorded between two times; None where no such step took time."""
    ranks = [rank.rank for rank in run.ranks if rank.steps]
    steps = [
        of_ranks
        for of_ranks in together(run, lambda rank: rank.steps).values()
        if len(of_ranks) == len(ranks)
        and all(since <= step.time - step.seconds and step.time <= until for step in of_ranks)
    ]
    took_time = any(step.seconds > 0 for of_ranks in steps for step in of_ranks)
    return _sum(ranks, steps) if took_time else None


def _sum(ranks: Sequence[int], steps: Sequence[Sequence[RecordedStep]]) -> Waits:
    return Waits(
        steps=len(steps),
        seconds=sum(fmean(record.seconds for record in step) for step in steps),
        by_rank={rank: sum(step[place].seconds_compute for step in steps) for place, rank in enumerate(ranks)},
        longest_wait=max(sum(step[place].seconds_comm for step in steps) for place in range(len(ranks))),
        network_of=tuple(min(record.seconds_comm for record in step) for step in steps),
        begun=min(record.time - record.seconds for step in steps for record in step),
        ended=max(record.time for step in steps for record in step),
    )
