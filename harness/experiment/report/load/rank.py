"""Reads rank-R.jsonl and collectives-R.jsonl: the records of one rank over all attempts of its run."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.experiment.report.load.collectives import load_collectives
from harness.experiment.report.load.jsonl import Oddities, loss, mapping, number, number_or_none, parsed, whole
from harness.experiment.report.load.rank_records import Collectives, Eval, Logged, Ops, Rank, RecordedStep


def load_rank(folder: Path, rank: int, oddities: Oddities, *, trains: bool = True) -> Rank:
    """Read the records of one rank; docs/runs.md says which lines a resume makes void.

    ``trains``: whether a missing file is odd; a rank of a user's command may have logged nothing.
    """
    path = folder / f"rank-{rank}.jsonl"
    if trains and not path.is_file():
        oddities.add(path, f"missing: rank {rank} is in no mean of this run")
    taken = _Records()
    for _ in parsed(path, oddities, taken.add):
        pass
    if taken.not_finite:
        first, steps = taken.not_finite[0], len(taken.not_finite)
        oddities.add(path, f"the loss is not a finite number from step {first} on, at {steps} steps; not drawn there")
    timed, untimed = load_collectives(folder / f"collectives-{rank}.jsonl", oddities)
    return replace(taken.rank(rank), timed=tuple(one for one in timed if not taken.void(one.start)), untimed=untimed)


class _Records:
    """Collects records in the order of their lines; a later record of a step replaces an earlier one."""

    def __init__(self) -> None:
        self._steps: dict[int, RecordedStep] = {}
        self._evals: dict[int, Eval] = {}
        self._collectives: list[Collectives] = []
        self._logs: list[Logged] = []
        self._start: Mapping[str, Any] = {}
        self._void: list[tuple[float, float]] = []
        self._resumed: list[int] = []
        self._redone: list[tuple[int, int]] = []
        self._uncounted: list[tuple[int, int]] = []
        self._started = False

    def add(self, record: Mapping[str, Any]) -> None:
        """Add one record. Raises Malformed for invalid fields; unknown kinds are ignored."""
        kind = record.get("kind")
        if kind == "start":
            self._begin(record)
        elif kind == "step":
            step = _step(record)
            self._steps[step.step] = step
        elif kind == "eval":
            evaluation = _eval(record)
            self._evals[evaluation.step] = evaluation
        elif kind == "log":
            self._logs.append(_logged(record))
        elif kind == "collectives":
            ops = mapping(record, "ops")
            counted = {
                name: Ops(whole(mapping(ops, name), "count"), whole(mapping(ops, name), "bytes")) for name in ops
            }
            self._collectives.append(Collectives(whole(record, "step"), counted, whole(record, "missed", 0)))

    def _begin(self, record: Mapping[str, Any]) -> None:
        self._start = record
        resumed, generation = record.get("resumed_from") is not None, whole(record, "generation", 1)
        last = whole(record, "resumed_from") if resumed else 0
        if generation > 1:
            self._redone.append((generation, sum(at > last for at in self._steps)))
        elif resumed:
            self._resumed.append(last)
        if self._started:
            self._void.append((self._time_of(last), number_or_none(record, "time") or -math.inf))
            self._steps = {at: step for at, step in self._steps.items() if at <= last}
            self._evals = {at: evaluation for at, evaluation in self._evals.items() if at <= last}
            self._collectives = [counted for counted in self._collectives if counted.step <= last]
            self._forget_counts(last)
        self._started = True

    def _time_of(self, last: int) -> float:
        """When the step was done from which a resumed attempt continues; what is later is void."""
        return max((step.time for at, step in self._steps.items() if at <= last), default=-math.inf)

    def void(self, time: float) -> bool:
        """Whether a later attempt repeated what was done at this time."""
        return any(after < time < until for after, until in self._void)

    def _forget_counts(self, last: int) -> None:
        """Note that no count has the collectives of the steps after the last remaining count, up to ``last``."""
        counted = max((counted.step for counted in self._collectives), default=0)
        kept = [(after, min(until, last)) for after, until in self._uncounted if after < last]
        counted = max([counted, *(until for _, until in kept)])
        self._uncounted = [*kept, (counted, last)] if counted < last else kept

    @property
    def not_finite(self) -> list[int]:
        """Steps whose loss is NaN or infinite."""
        records: list[RecordedStep | Eval] = [*self._steps.values(), *self._evals.values()]
        return sorted({record.step for record in records if not math.isfinite(record.loss)})

    def rank(self, rank: int) -> Rank:
        """The records after all attempts."""
        parameters, per_step = (number_or_none(self._start, key) for key in ("parameters", "bytes_per_step"))
        return Rank(
            rank=rank,
            steps=tuple(self._steps[at] for at in sorted(self._steps)),
            evals=tuple(self._evals[at] for at in sorted(self._evals)),
            collectives=tuple(sorted(self._collectives, key=lambda counted: counted.step)),
            parameters=None if parameters is None else int(parameters),
            bytes_per_step=per_step,
            resumed_from=tuple(self._resumed),
            redone=tuple(self._redone),
            uncounted=tuple(self._uncounted),
            logs=tuple(one for one in self._logs if not self.void(one.time)),
        )


def _step(record: Mapping[str, Any]) -> RecordedStep:
    return RecordedStep(
        step=whole(record, "step"),
        time=number(record, "time"),
        elapsed=number(record, "elapsed"),
        loss=loss(record),
        seconds=number(record, "seconds"),
        seconds_compute=number(record, "seconds_compute"),
        seconds_comm=number(record, "seconds_comm"),
        sent_bytes=whole(record, "sent_bytes", 0),
        received_bytes=whole(record, "received_bytes", 0),
    )


def _eval(record: Mapping[str, Any]) -> Eval:
    accuracy = record.get("accuracy")
    return Eval(
        step=whole(record, "step"),
        time=number(record, "time"),
        elapsed=number(record, "elapsed"),
        loss=loss(record),
        accuracy=None if accuracy is None else number(record, "accuracy"),
    )


def _logged(record: Mapping[str, Any]) -> Logged:
    values = mapping(record, "values")
    return Logged(
        time=number(record, "time"),
        step=None if record.get("step") is None else whole(record, "step"),
        values={sys.intern(name): loss(values, name) for name in values},
    )
