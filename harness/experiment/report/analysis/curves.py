"""The curve of a run: loss over seconds and bytes; and the cost of its steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean
from typing import Final, Literal, Protocol, TypeVar

from harness.experiment.report.load.records import Rank, RecordedRun, Target

SMOOTHED: Final = 10
"""Steps over which the training loss is averaged in a run without evaluations."""
LossKind = Literal["held-out loss", "training loss"]


@dataclass(frozen=True)
class CurvePoint:
    """A run at one evaluation.

    Args:
        step: after which.
        seconds: since the first step began, evaluations included; of the latest rank.
        bytes: that the nodes' interfaces had sent by then in steps, all nodes together, relayed ones included.
        loss: mean over ranks.
        accuracy: mean over ranks, or None.
    """

    step: int
    seconds: float
    bytes: int
    loss: float
    accuracy: float | None = None


@dataclass(frozen=True)
class Curve:
    """All points of a run with a finite loss, by step; `diverged` is the first step whose loss was not finite."""

    kind: LossKind
    points: tuple[CurvePoint, ...]
    diverged: int | None = None

    def reached(self, target: Target) -> CurvePoint | None:
        """The first evaluation after a step that met the target; None: none did."""
        met = (point for point in self.points if point.step > 0 and target.met(point.loss, point.accuracy))
        return next(met, None)

    @property
    def learned(self) -> float | None:
        """The lowest loss after a step if it is lower than before the first; None: nothing was learned."""
        before = min((point.loss for point in self.points if point.step == 0), default=math.inf)
        after = min((point.loss for point in self.points if point.step > 0), default=math.inf)
        return after if after < before else None


@dataclass(frozen=True)
class StepCost:
    """One step: means over ranks in seconds, the wait of the rank that waited least, and what all ranks sent."""

    step: int
    seconds: float
    compute: float
    comm: float
    least_comm: float
    sent_bytes: int


class _Recorded(Protocol):
    @property
    def step(self) -> int: ...
    @property
    def elapsed(self) -> float: ...
    @property
    def loss(self) -> float: ...


R = TypeVar("R", bound=_Recorded)


def make_curve(run: RecordedRun) -> Curve:
    """The held-out loss of a run; without evaluations its training loss, averaged over SMOOTHED steps."""
    sent = _sent_by(run.ranks)
    if any(rank.evals for rank in run.ranks):
        by_step = together(rank.evals for rank in run.ranks)
        points = [
            CurvePoint(
                step=step,
                seconds=max(evaluation.elapsed for evaluation in evaluations),
                bytes=_at(sent, step),
                loss=fmean(evaluation.loss for evaluation in evaluations),
                accuracy=_mean_or_none([evaluation.accuracy for evaluation in evaluations]),
            )
            for step, evaluations in by_step.items()
        ]
        return _finite("held-out loss", points)
    steps = together(rank.steps for rank in run.ranks)
    losses = [fmean(step.loss for step in of_ranks) for of_ranks in steps.values()]
    points = [
        CurvePoint(
            step=step,
            seconds=max(record.elapsed for record in of_ranks),
            bytes=_at(sent, step),
            loss=fmean(losses[max(0, place + 1 - SMOOTHED) : place + 1]),
        )
        for place, (step, of_ranks) in enumerate(steps.items())
    ]
    return _finite("training loss", points)


def step_costs(run: RecordedRun) -> list[StepCost]:
    """The cost of every step that all ranks recorded."""
    return [
        StepCost(
            step=step,
            seconds=fmean(record.seconds for record in of_ranks),
            compute=fmean(record.seconds_compute for record in of_ranks),
            comm=fmean(record.seconds_comm for record in of_ranks),
            least_comm=min(record.seconds_comm for record in of_ranks),
            sent_bytes=sum(record.sent_bytes for record in of_ranks),
        )
        for step, of_ranks in together(rank.steps for rank in run.ranks).items()
    ]


def _finite(kind: LossKind, points: list[CurvePoint]) -> Curve:
    diverged = next((point.step for point in points if not math.isfinite(point.loss)), None)
    return Curve(kind, tuple(point for point in points if math.isfinite(point.loss)), diverged)


def _mean_or_none(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else None


def together(recorded: Iterable[Iterable[R]]) -> dict[int, list[R]]:
    """Per step the records of all ranks, if every rank that recorded anything has one."""
    by_step: dict[int, list[R]] = defaultdict(list)
    ranks = 0
    for of_rank in map(list, recorded):
        ranks += bool(of_rank)
        for record in of_rank:
            by_step[record.step].append(record)
    return {step: by_step[step] for step in sorted(by_step) if len(by_step[step]) == ranks}


def _sent_by(ranks: Iterable[Rank]) -> list[tuple[int, int]]:
    """(step, bytes that all nodes had sent by its end), ascending."""
    per_step: dict[int, int] = defaultdict(int)
    for rank in ranks:
        for step in rank.steps:
            per_step[step.step] += step.sent_bytes
    steps = sorted(per_step)
    return list(zip(steps, accumulate(per_step[step] for step in steps), strict=True))


def _at(sent: list[tuple[int, int]], step: int) -> int:
    """Bytes sent by the end of a step."""
    place = bisect_right(sent, (step, math.inf))
    return sent[place - 1][1] if place else 0
