"""Ranges of quantities, and draws from them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from harness.errors import UnitError
from harness.model.units import Rate, Ratio, Size, Time

T = TypeVar("T", Rate, Time, Ratio, Size, int)

_STEPS: Final[dict[type, tuple[Callable[[Any], Any], Fraction]]] = {
    Rate: (lambda rate: rate.bit_s, Fraction(8)),
    Time: (lambda time: time.ns, Fraction(1000)),
    Ratio: (lambda ratio: ratio.value, Fraction(1, 10**8)),
    Size: (lambda size: size.bytes, Fraction(1)),
    int: (int, Fraction(1)),
}
"""By quantity: its number, and the step of which drawn values are multiples."""


@dataclass(frozen=True)
class Range(Generic[T]):
    """Values from low to high, both included; a scalar where they are equal.

    Args:
        low, high: exact values. Raises UnitError where low is over high.
        text: as the file has it, e.g. ``10MB/s - 100MB/s``; made from the values where not given.
    """

    low: T
    high: T
    text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise UnitError(f"the range {self} is the wrong way round; write [low, high]")

    def at(self, quantile: float) -> T:
        """The value at a quantile of the uniform distribution: 0 is exactly low, 1 is exactly high.

        Values between are in whole byte/s, microseconds, millionths of a percent, bytes or packets.
        """
        if self.low == self.high or quantile <= 0:
            return self.low
        if quantile >= 1:
            return self.high
        first, last, step = self._steps
        if last < first:
            return self.low
        drawn = min(first + round((last - first) * quantile), last)
        make: Callable[[Any], T] = type(self.low)
        return make(drawn * step if isinstance(self.low, Ratio) else drawn * step.numerator)

    @cached_property
    def _steps(self) -> tuple[int, int, Fraction]:
        number, step = _STEPS[type(self.low)]
        return math.ceil(number(self.low) / step), math.floor(number(self.high) / step), step

    def to_json(self) -> list[float]:
        """``[low, high]`` in SI units: bit/s, seconds, shares, bytes, packets."""
        scale = 10**9 if isinstance(self.low, Time) else 1
        number, _ = _STEPS[type(self.low)]
        pair = [number(self.low), number(self.high)]
        return [value if isinstance(value, int) and scale == 1 else float(value) / scale for value in pair]

    def __str__(self) -> str:
        return self.text or (str(self.low) if self.low == self.high else f"{self.low} - {self.high}")


def quantile_of(key: str) -> float:
    """A quantile in [0, 1): the first 53 bits of the text's SHA-256."""
    return (int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 11) / 2**53
