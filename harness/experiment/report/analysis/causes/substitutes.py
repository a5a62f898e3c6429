"""Substitutes for steps in runs without them: rounds of timed collectives, or the steps that a script logged.

A round lasts from the first rank's call of a collective until all ranks have completed it and those that overlap it;
the time since the round before counts as computing. So computing that overlaps collectives counts as waiting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Final

from harness.experiment.report.load.rank_records import Logged, Rank, RecordedStep, TimedCollective
from harness.experiment.report.load.records import RecordedRun

_NO_LOSS: Final = 0.0
Span = tuple[float, float]


def with_rounds(run: RecordedRun) -> RecordedRun | None:
    """The run with a step per round of collectives; None without two that were timed on every rank."""
    ranks = [rank for rank in run.ranks if rank.timed]
    by_call: dict[tuple[str, str, int], dict[int, Span]] = defaultdict(dict)
    for rank in ranks:
        for key, span in _calls(rank.timed):
            by_call[key][rank.rank] = span
    whole = sorted((spans for spans in by_call.values() if len(spans) == len(ranks)), key=lambda s: max(s.values()))
    rounds = list(_rounds(whole))
    if len(ranks) < 2 or len(rounds) < 2:
        return None
    return replace(run, ranks=tuple(_with_steps(rank, [one[rank.rank] for one in rounds]) for rank in ranks))


def with_logged_steps(run: RecordedRun) -> RecordedRun | None:
    """The run with the steps that a script logged, as computing only; None where none was logged.

    Only the lengths of these steps are known.
    """
    ranks = [rank for rank in run.ranks if sum(log.step is not None for log in rank.logs) > 2]
    if not ranks:
        return None
    return replace(run, ranks=tuple(replace(rank, steps=tuple(_logged(rank.logs))) for rank in ranks))


def _calls(timed: Iterable[TimedCollective]) -> Iterable[tuple[tuple[str, str, int], Span]]:
    """(key, (start, end)) of each timed call; all ranks have the same key: group, collective, number of the call."""
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for one in timed:
        seen[one.group, one.op] += 1
        if one.seconds is not None:
            yield (one.group, one.op, seen[one.group, one.op]), (one.start, one.start + one.seconds)


def _rounds(calls: Iterable[dict[int, Span]]) -> Iterable[dict[int, Span]]:
    """Join calls that overlap on any rank."""
    current: dict[int, Span] = {}
    for call in calls:
        if current and all(call[rank][0] >= current[rank][1] for rank in call):
            yield current
            current = {}
        joined = {rank: current.get(rank, span) for rank, span in call.items()}
        current = {r: (min(span[0], call[r][0]), max(span[1], call[r][1])) for r, span in joined.items()}
    if current:
        yield current


def _with_steps(rank: Rank, spans: list[Span]) -> Rank:
    """A step per round after the first one, whose computing is unknown."""
    rounds = enumerate(pairwise(spans), 1)
    return replace(rank, steps=tuple(_step(number, ended, since, at) for number, ((_, since), (at, ended)) in rounds))


def _step(number: int, ended: float, since: float, called: float) -> RecordedStep:
    compute, comm = max(0.0, called - since), ended - called
    return RecordedStep(number, ended, ended, _NO_LOSS, compute + comm, compute, comm, 0, 0)


def _logged(logs: Iterable[Logged]) -> Iterable[RecordedStep]:
    """The steps between two logged ones take equal times."""
    times = sorted({log.step: log.time for log in logs if log.step is not None}.items())
    for (before, since), (last, until) in pairwise(times):
        each = max(0.0, until - since) / (last - before)
        for step in range(before + 1, last + 1):
            ended = since + (step - before) * each
            yield _step(step, ended, ended - each, ended)
