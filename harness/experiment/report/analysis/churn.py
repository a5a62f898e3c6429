"""The cost of absent ranks in a run: goodput, lost steps, time to rejoin, bytes of state."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.experiment.report.analysis.links import last_zero
from harness.experiment.report.load.rank_records import Rank
from harness.experiment.report.load.records import RecordedAbsence, RecordedGroup, RecordedRun
from harness.model.format import format_time

CAUSE_WORDS: Final = {
    "kill": "killed", "pause": "paused", "cut": "cut off", "failed": "failed by itself", "lost": "did not answer",
}  # fmt: skip


@dataclass(frozen=True)
class TimeAway:
    """A time for which a rank was away, in seconds of training.

    Args:
        rank: its number.
        cause: ``kill``, ``pause``, ``cut``, ``failed``; ``lost``: only its process group noticed.
        start: when it left.
        end: when it was back; None: not before the run's end.
        rejoined: when its next step began; None: it did none.
    """

    rank: int
    cause: str
    start: float
    end: float | None
    rejoined: float | None

    @property
    def rejoin_seconds(self) -> float | None:
        """Seconds from its return to its first step."""
        return None if self.end is None or self.rejoined is None else self.rejoined - self.end

    @property
    def words(self) -> str:
        """``rank 2 killed from 3.34 s to 6.34 s, at work again after 19.1 s more``."""
        began = f"rank {self.rank} {CAUSE_WORDS.get(self.cause, self.cause)} from {format_time(max(0.0, self.start))}"
        if self.end is None:
            return f"{began} on"
        seconds = self.rejoin_seconds
        again = "" if seconds is None else f", at work again after {format_time(max(0.0, seconds))} more"
        return f"{began} to {format_time(max(0.0, self.end))}{again}"


@dataclass(frozen=True)
class Churn:
    """The cost of absent ranks.

    Goodput is productive time over all time, as Google defines it for training (github.com/AI-Hypercomputer/
    ml-goodput-measurement): here the seconds of steps that count in the end over all since the first step began.
    Evaluations, waiting for a new process group, and steps that were lost are no productive time.

    Args:
        goodput: of rank 0, which is in every group; None: no steps were recorded.
        rank_goodput: of the time of all ranks, absences included; None: no steps were recorded.
        steps_lost: recorded by a rank, then repeated (perhaps without it) because a new group began before them.
        standstill: seconds between the last step of a group and the first step of the next one, in all.
        groups: the number of process groups; 0: the job forms no new ones.
        state_bytes: received by members, in all.
        absences: by start.
    """

    goodput: float | None
    rank_goodput: float | None
    steps_lost: int
    standstill: float
    groups: int
    state_bytes: int
    absences: tuple[TimeAway, ...]


def churn_of(run: RecordedRun) -> Churn | None:
    """The cost of absent ranks in a run; None where no rank was away."""
    if not run.absences and len(run.groups) < 2:
        return None
    busy = {rank.rank: sum(step.seconds for step in rank.steps) for rank in run.ranks}
    ends = [step.elapsed for rank in run.ranks for step in rank.steps[-1:]]
    whole = max([*ends, *(one.elapsed for rank in run.ranks for one in rank.evals[-1:])], default=0.0)
    return Churn(
        goodput=busy[0] / whole if whole and 0 in busy else None,
        rank_goodput=sum(busy.values()) / (whole * run.nodes) if whole else None,
        steps_lost=_lost(run.ranks),
        standstill=sum(_standstills(run)),
        groups=len(run.groups),
        state_bytes=sum(group.state_bytes * (len(group.members) - 1) for group in run.groups),
        absences=tuple(_absences(run)),
    )


def _lost(ranks: Sequence[Rank]) -> int:
    """The lost steps of all groups, of the rank that lost most in each."""
    most: Counter[int] = Counter()
    for rank in ranks:
        for generation, steps in rank.redone:
            most[generation] = max(most[generation], steps)
    return most.total()


def _standstills(run: RecordedRun) -> Iterator[float]:
    steps = run.ranks[0].steps if run.ranks else ()
    for group in run.groups:
        place = bisect_right(steps, group.step, key=lambda step: step.step)
        if group.generation > 1 and 0 < place < len(steps):
            yield steps[place].time - steps[place].seconds - steps[place - 1].time


def _absences(run: RecordedRun) -> Iterator[TimeAway]:
    zero = last_zero(run)
    steps = {rank.rank: rank.steps for rank in run.ranks}
    for one in run.absences or _noticed(run.groups):
        end = rejoined = None
        if one.until is not None:
            end = one.until - zero
            begins = (step.time - step.seconds - zero for step in steps.get(one.rank, ()) if step.time > one.until)
            rejoined = next(begins, None)
        yield TimeAway(one.rank, one.cause, one.since - zero, end, rejoined)


def _noticed(groups: Sequence[RecordedGroup]) -> Iterator[RecordedAbsence]:
    """Absences without a record of their own, by the members that process groups lost."""
    for place, group in enumerate(groups):
        for rank in group.lost:
            back = (later.time - later.seconds for later in groups[place:] if rank in later.joined)
            yield RecordedAbsence(rank, "lost", group.time - group.seconds, next(back, None))
