"""When an event happens: once, at regular times, or by chance; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from random import Random

from harness.errors import InputError


@dataclass(frozen=True)
class Timing:
    """The times of an event, in seconds from the scenario's start.

    Args:
        at: the first time; None: after one period.
        every: the period; None: it happens once, or by chance.
        mtbf: the mean time from an end to the next beginning, which is random: a Poisson process.
        lasts: how long each occurrence lasts before it is undone; None: it stays.
        until: no occurrence begins at this time or later; None: no limit.
        at_step: instead of ``at``, it begins when the job has done this step.
        every_steps: instead of ``every``, steps from one beginning to the next.
    """

    at: float | None = None
    every: float | None = None
    mtbf: float | None = None
    lasts: float | None = None
    until: float | None = None
    at_step: int | None = None
    every_steps: int | None = None

    def __post_init__(self) -> None:
        if self.by_steps and not self.at is self.every is self.mtbf is self.until is None:
            raise InputError("it counts steps and times: give at and every both in steps, and no until or mtbf")
        if self.every is not None and self.mtbf is not None:
            raise InputError("give every or mtbf, not both")
        if self.at is None and self.every is None and self.mtbf is None and not self.by_steps:
            raise InputError("it does not say when: give at, every or mtbf")
        if self.every is not None and self.lasts is not None and self.lasts >= self.every:
            raise InputError(f"for {self.lasts:g}s is not shorter than every {self.every:g}s: it would never end")
        if self.at is not None and self.until is not None and self.at >= self.until:
            raise InputError(f"it begins at {self.at:g}s, which is not before until {self.until:g}s")

    @property
    def by_steps(self) -> bool:
        """Whether it follows the job's steps."""
        return self.at_step is not None or self.every_steps is not None

    def next_step(self, done: int) -> int | None:
        """The first step after ``done`` at which it begins; None: it does not begin again."""
        first = self.at_step if self.at_step is not None else self.every_steps or 0
        if done < first:
            return first
        return first + ((done - first) // self.every_steps + 1) * self.every_steps if self.every_steps else None

    @property
    def comes_again(self) -> bool:
        """Whether it begins more than once."""
        return not self.every is self.mtbf is self.every_steps is None

    @property
    def ends(self) -> bool:
        """Whether there is a last time."""
        return self.until is not None or not self.comes_again

    def times(self, seed: str) -> Iterator[float]:
        """When it begins, ascending; random times follow from the seed."""
        if self.by_steps:
            return
        until = math.inf if self.until is None else self.until
        yield from takewhile(lambda at: at < until, self._by_chance(Random(seed)) if self.mtbf else self._regular())

    def _regular(self) -> Iterator[float]:
        first = self.every if self.at is None else self.at
        assert first is not None
        if self.every is None:
            yield first
            return
        for number in count():
            yield round(first + number * self.every, 9)  # so that 3 x 0.7 s is not before 2.1 s

    def _by_chance(self, random: Random) -> Iterator[float]:
        assert self.mtbf is not None
        at = random.expovariate(1 / self.mtbf) if self.at is None else self.at
        while True:
            yield at
            at += random.expovariate(1 / self.mtbf) + (self.lasts or 0.0)
