"""The records of a rank: steps, evaluations, collectives and logged values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class RecordedStep:
    """One step of one rank; `seconds_comm`: waiting for communication."""

    step: int
    time: float
    elapsed: float
    loss: float
    seconds: float
    seconds_compute: float
    seconds_comm: float
    sent_bytes: int
    received_bytes: int


@dataclass(frozen=True)
class Eval:
    """One rank's model on the whole held-out set."""

    step: int
    time: float
    elapsed: float
    loss: float
    accuracy: float | None


@dataclass(frozen=True)
class Ops:
    """How often a collective ran, and the bytes of its input tensors in all."""

    count: int
    bytes: int


@dataclass(frozen=True)
class Collectives:
    """What torch's flight recorder counted between two readings.

    Args:
        step: the last one that is counted.
        ops: per collective, as torch names it.
        missed: collectives that the recorder overwrote before they were read.
    """

    step: int
    ops: Mapping[str, Ops]
    missed: int = 0


class TimedCollective(NamedTuple):
    """One collective of one rank.

    Args:
        op: as torch names it: ``all_reduce``.
        start: when the rank called it, seconds since the epoch.
        seconds: until it was complete on this rank; None where it cannot be timed.
        bytes: of its input tensors.
        ranks: how many take part.
        group: the process group's name.
        step: in which it ran; None: unknown.
    """

    op: str
    start: float
    seconds: float | None
    bytes: int
    ranks: int
    group: str
    step: int | None = None


@dataclass(frozen=True)
class Logged:
    """The values, by name, of one call of `harness.log` in a script."""

    time: float
    step: int | None
    values: Mapping[str, float]


@dataclass(frozen=True)
class Rank:
    """The records of one rank, without the lines that a resumed attempt made void.

    Args:
        rank: its number.
        steps: ascending.
        evals: by step, ascending.
        collectives: by step, ascending; the last steps of a run that was cut off are in none.
        parameters: of the model; None: not recorded.
        bytes_per_step: mean payload per step by the strategy's own formula; None: not recorded.
        resumed_from: the steps from which later attempts continued.
        redone: (number, recorded steps that it made void) of each process group of an elastic run but the first.
        uncounted: ranges (after, until] of steps that count but whose collectives a resume made void.
        timed: collectives that were timed one by one, by start.
        untimed: how many more there were.
        logs: in the order of the file.
    """

    rank: int
    steps: tuple[RecordedStep, ...] = ()
    evals: tuple[Eval, ...] = ()
    collectives: tuple[Collectives, ...] = ()
    parameters: int | None = None
    bytes_per_step: float | None = None
    resumed_from: tuple[int, ...] = ()
    redone: tuple[tuple[int, int], ...] = ()
    uncounted: tuple[tuple[int, int], ...] = ()
    timed: tuple[TimedCollective, ...] = ()
    untimed: int = 0
    logs: tuple[Logged, ...] = ()

    def counts(self, step: int) -> bool:
        """Whether the collectives of a step are counted."""
        return not any(after < step <= until for after, until in self.uncounted)
