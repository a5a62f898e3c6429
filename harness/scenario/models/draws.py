"""Random processes of the models, sampled in steps of any length."""

from __future__ import annotations

import math
from random import Random


class Wandering:
    """An Ornstein-Uhlenbeck process with mean 0 and standard deviation 1, sampled at regular steps.

    Its autocorrelation after t seconds is exp(-t / memory), whatever the step.

    Args:
        random: of its draws.
        memory: seconds.
        step: seconds between two samples.
    """

    def __init__(self, random: Random, memory: float, step: float) -> None:
        self._random, self._keep = random, math.exp(-step / memory)
        self._fresh = math.sqrt(1 - self._keep**2)
        self._value = random.gauss(0, 1)

    def next(self) -> float:
        """The next sample."""
        value = self._value
        self._value = self._keep * value + self._fresh * self._random.gauss(0, 1)
        return value


class Arrivals:
    """A Poisson process.

    Args:
        random: of its draws.
        gap: mean seconds between two events.
    """

    def __init__(self, random: Random, gap: float) -> None:
        self._random, self._gap = random, gap
        self._left = random.expovariate(1 / gap)

    def within(self, seconds: float) -> int:
        """How many events come in the next ``seconds``; the next call begins after them."""
        count = 0
        self._left -= seconds
        while self._left < 0:
            count += 1
            self._left += self._random.expovariate(1 / self._gap)
        return count
