"""The loss of a run over seconds and bytes, and the cost of its steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from statistics import fmean
from typing import Final, Literal, Protocol, TypeVar

from harness.experiment.membership import members_at
from harness.experiment.report.load.rank_records import Logged, Rank
from harness.experiment.report.load.records import RecordedRun, Target
from harness.model.link import Pair

SMOOTHED: Final = 10
"""Steps over which the training loss is averaged where there are no evaluations."""
LossKind = Literal["held-out loss", "training loss", "logged loss", "logged error"]


@dataclass(frozen=True)
class CurvePoint:
    """A run at one evaluation.

    Args:
        step: the last one before it.
        seconds: since the first step began, evaluations included; of the latest rank.
        bytes: that all nodes' interfaces had sent in steps, relayed ones included.
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
    """All points of a run with a finite loss, by step.

    Args:
        kind: of the loss.
        points: by step.
        diverged: the first step whose loss was not finite.
        end: the end of a finished command, with its last step and loss; None for other runs.
    """

    kind: LossKind
    points: tuple[CurvePoint, ...]
    diverged: int | None = None
    end: CurvePoint | None = None

    def reached(self, target: Target) -> CurvePoint | None:
        """The first point after step 0 that met the target, or the end if that is the target; None: not reached."""
        if target.kind == "end":
            return self.end
        met = (point for point in self.points if point.step > 0 and target.met(point.loss, point.accuracy))
        return next(met, None)

    @property
    def learned(self) -> float | None:
        """The lowest loss, if it is lower than before the first step; None: nothing was learned."""
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
    """The held-out loss of a run; without evaluations its training loss, averaged over SMOOTHED steps.

    Of a user's script, the logged loss, or 1 - accuracy where it logs accuracy alone.
    """
    if not any(rank.evals or rank.steps for rank in run.ranks):
        return _logged_curve(run)
    sent = _sent_by(run.ranks)
    if any(rank.evals for rank in run.ranks):
        by_step = together(run, lambda rank: rank.evals)
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
    steps = together(run, lambda rank: rank.steps)
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


def _logged_curve(run: RecordedRun) -> Curve:
    """The logged values: means over the ranks that log a step, seconds since `origin`, and the bytes on all links.

    A rank that never names a step has its values counted as steps.
    """
    by_step: dict[int, list[Logged]] = defaultdict(list)
    for rank in run.ranks:
        scored = [one for one in rank.logs if one.values.keys() & {"loss", "accuracy"}]
        counted = all(one.step is None for one in scored)
        for place, one in enumerate(scored, 1):
            if counted or one.step is not None:
                by_step[place if one.step is None else one.step].append(one)
    began, carried = origin(run) or 0.0, carried_by(run)
    losses = any("loss" in one.values for logged in by_step.values() for one in logged)
    points = []
    loss = math.nan
    for step, logged in sorted(by_step.items()):
        accuracy = _mean_or_none([one.values.get("accuracy") for one in logged])
        if found := [one.values["loss"] for one in logged if "loss" in one.values]:
            loss = fmean(found)
        elif not losses:
            loss = math.nan if accuracy is None else 1 - accuracy
        elif math.isnan(loss):
            continue
        at = max(one.time for one in logged)
        points.append(CurvePoint(step, at - began, _at(carried, at), loss, accuracy))
    curve = _finite("logged loss" if losses else "logged error", points)
    return replace(curve, end=_end(run, curve.points, carried))


def _end(run: RecordedRun, points: Sequence[CurvePoint], carried: Sequence[tuple[float, int]]) -> CurvePoint | None:
    """The end of a finished command: its wall time, the bytes on all links, and the last point's step and loss."""
    if run.end is None or run.end.status != "finished" or run.end.seconds is None:
        return None
    last = points[-1] if points else CurvePoint(0, 0.0, 0, math.nan)
    return replace(last, seconds=run.end.seconds, bytes=max((size for _, size in carried), default=0))


def origin(run: RecordedRun) -> float | None:
    """When a user's script began, in seconds since the epoch, by run.json, else by the first log; None: unknown."""
    if run.started is not None:
        return run.started
    return min((one.time for rank in run.ranks for one in rank.logs), default=None)


def carried_by(run: RecordedRun) -> list[tuple[float, int]]:
    """(time, bytes on all links until then) of the last attempt; a packet counts on each link that it crosses."""
    carried = []
    now: dict[Pair, int] = {}
    for sample in run.links:
        if sample.attempt == run.links[-1].attempt:
            now.update((edge, count.sent_bytes) for edge, count in sample.edges.items())
            carried.append((sample.time, sum(now.values())))
    return carried


def step_costs(run: RecordedRun) -> list[StepCost]:
    """The cost of every step that all present ranks recorded."""
    return [
        StepCost(
            step=step,
            seconds=fmean(record.seconds for record in of_ranks),
            compute=fmean(record.seconds_compute for record in of_ranks),
            comm=fmean(record.seconds_comm for record in of_ranks),
            least_comm=min(record.seconds_comm for record in of_ranks),
            sent_bytes=sum(record.sent_bytes for record in of_ranks),
        )
        for step, of_ranks in together(run, lambda rank: rank.steps).items()
    ]


def _finite(kind: LossKind, points: list[CurvePoint]) -> Curve:
    diverged = next((point.step for point in points if not math.isfinite(point.loss)), None)
    return Curve(kind, tuple(point for point in points if math.isfinite(point.loss)), diverged)


def _mean_or_none(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else None


def together(run: RecordedRun, recorded: Callable[[Rank], Sequence[R]]) -> dict[int, list[R]]:
    """The records of each step that every rank with records has; in elastic runs, every rank in the step's group."""
    by_step: dict[int, list[R]] = defaultdict(list)
    ranks = [rank for rank in run.ranks if recorded(rank)]
    for rank in ranks:
        for record in recorded(rank):
            by_step[record.step].append(record)
    groups = [(group.step, group.members) for group in run.groups]
    able = {rank.rank for rank in ranks}

    def expected(step: int) -> int:
        members = members_at(groups, step)
        return len(able if members is None else able.intersection(members))

    return {step: by_step[step] for step in sorted(by_step) if len(by_step[step]) == expected(step)}


def _sent_by(ranks: Iterable[Rank]) -> list[tuple[int, int]]:
    """(step, bytes that all nodes had sent by its end), ascending."""
    per_step: dict[int, int] = defaultdict(int)
    for rank in ranks:
        for step in rank.steps:
            per_step[step.step] += step.sent_bytes
    steps = sorted(per_step)
    return list(zip(steps, accumulate(per_step[step] for step in steps), strict=True))


def _at(sent: Sequence[tuple[float, int]], at: float) -> int:
    """Bytes sent by the end of a step, or by a time."""
    place = bisect_right(sent, (at, math.inf))
    return sent[place - 1][1] if place else 0
