"""The events of a rank: steps with compute and wait, collectives, losses, logged values, absences."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.experiment.report.analysis.churn import CAUSE_WORDS
from harness.experiment.report.load.rank_records import Rank, RecordedStep, TimedCollective
from harness.experiment.report.load.records import RecordedRun
from harness.experiment.trace.events import Event, Instant, Slice, Track, Value, arguments

STEPS = "steps"
COLLECTIVES = "collectives"
AWAY = "away"


def rank_events(rank: Rank) -> Iterator[Event]:
    """The events of all that a rank recorded."""
    process = f"rank {rank.rank}"
    steps, evaluations = Track(process, STEPS), ("held-out loss", "held-out accuracy")
    end = -math.inf
    for step in rank.steps:
        yield _step(steps, step, end)
        end = max(end, step.time)
    for one in rank.timed:
        yield _collective(process, one)
    for step in rank.steps:
        yield from _number(process, "training loss", step.time, step.loss)
    for evaluation in rank.evals:
        for name, value in zip(evaluations, (evaluation.loss, evaluation.accuracy), strict=True):
            yield from _number(process, name, evaluation.time, value)
    for logged in rank.logs:
        for name, value in logged.values.items():
            yield from _number(process, f"logged {name}", logged.time, value)


def absence_events(run: RecordedRun) -> Iterator[Event]:
    """A slice for each absence, until the run's end where the rank did not return; an instant where that is unknown."""
    end = run.end.time if run.end else None
    for one in run.absences:
        track, name = Track(f"rank {one.rank}", AWAY, overlaps=True), CAUSE_WORDS.get(one.cause, one.cause)
        until = end if one.until is None else one.until
        if until is None or until < one.since:
            yield Instant(Track(f"rank {one.rank}", f"{AWAY} without end"), name, one.since, {})
        else:
            yield Slice(track, name, one.since, until, {})


def _step(track: Track, step: RecordedStep, earliest: float) -> Slice:
    """A step; records say how long it computed and waited in all, not when, so compute is drawn first.

    It does not begin before the last step's end (``earliest``): Perfetto draws overlapping slices within each other.
    """
    args = arguments(
        loss=step.loss,
        sent_bytes=step.sent_bytes,
        received_bytes=step.received_bytes,
        seconds_compute=step.seconds_compute,
        seconds_wait=step.seconds_comm,
    )
    within = (("compute", step.seconds_compute), ("wait", step.seconds_comm))
    start = max(step.time - step.seconds, earliest)
    return Slice(track, f"step {step.step}", start, max(start, step.time), args, within)


def _collective(process: str, one: TimedCollective) -> Event:
    args = arguments(bytes=one.bytes, ranks=one.ranks, seconds=one.seconds, group=one.group, step=one.step)
    if one.seconds is None:
        return Instant(Track(process, f"untimed {COLLECTIVES}"), one.op, one.start, args)
    return Slice(Track(process, COLLECTIVES, overlaps=True), one.op, one.start, one.start + one.seconds, args)


def _number(process: str, name: str, time: float, value: float | None) -> Iterator[Value]:
    if value is not None and math.isfinite(value):
        yield Value(Track(process, name, unit=""), time, value)
