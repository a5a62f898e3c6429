"""Profiles: the ranges that the links of a network draw their shapes from, and the draw."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from harness.errors import UnitError
from harness.model.format import format_range
from harness.model.link import LINK_FIELDS, Distribution, GilbertElliott, LinkShape
from harness.model.units import WHOLE, ZERO_RATIO, ZERO_TIME, Rate, Ratio, Size, Time

T = TypeVar("T", Rate, Time, Ratio, Size, int)

SHAPE_KEYS: Final = tuple(LINK_FIELDS)
"""The fields of a profile that shape a link: those of a link shape."""

_STEPS: Final[dict[type, tuple[Callable[[Any], Any], Fraction]]] = {
    Rate: (lambda rate: rate.bit_s, Fraction(8)),
    Time: (lambda time: time.ns, Fraction(1000)),
    Ratio: (lambda ratio: ratio.value, Fraction(1, 10**8)),
    Size: (lambda size: size.bytes, Fraction(1)),
    int: (int, Fraction(1)),
}
"""Per quantity: its number, and the step that drawn values are multiples of."""


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
        """The value at a quantile in [0, 1] of the uniform distribution; 0 is low and 1 is high, exactly.

        A scalar is itself, exactly. What is drawn is in whole byte/s, microseconds, millionths of a percent, bytes or
        packets, and never leaves the range.
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


@dataclass(frozen=True)
class BurstLoss:
    """Ranges of a Gilbert-Elliott chain; see `harness.model.link.GilbertElliott`."""

    p: Range[Ratio]
    r: Range[Ratio]
    loss_bad: Range[Ratio] = Range(WHOLE, WHOLE)
    loss_good: Range[Ratio] = Range(ZERO_RATIO, ZERO_RATIO)


_CHAIN: Final = ("gilbert_elliott.p", "gilbert_elliott.r")
_COUPLED: Final = ("delay", "jitter", "reorder", "loss", "loss_correlation", *_CHAIN, "burst")
"""The fields whose values can contradict each other: at every corner of their ranges a shape must be possible."""


@dataclass(frozen=True)
class Profile:
    """Ranges that every edge of a network draws its own shape from. A field that is None does nothing.

    Args:
        name: of the shipped profile, or the file's name without its ending.
        description: one line for people.
        source: the file; None for ``none`` and for profiles made in Python.
        jitter: a time, or a share of the delay that was drawn.

    The other fields are those of `LinkShape`. Raises ShapeError where some values in the ranges cannot go
    together, e.g. a jitter that can exceed the delay.
    """

    name: str
    description: str = ""
    source: Path | None = None
    rate: Range[Rate] | None = None
    delay: Range[Time] | None = None
    jitter: Range[Time] | Range[Ratio] | None = None
    distribution: Distribution = "uniform"
    loss: Range[Ratio] | None = None
    loss_correlation: Range[Ratio] | None = None
    gilbert_elliott: BurstLoss | None = None
    duplicate: Range[Ratio] | None = None
    corrupt: Range[Ratio] | None = None
    reorder: Range[Ratio] | None = None
    limit: Range[int] | None = None
    burst: Range[Size] | None = None
    queue: Range[Time] | None = None

    def __post_init__(self) -> None:
        spread = [name for name in _COUPLED if self._is_spread(name)]
        for ends in itertools.product((0.0, 1.0), repeat=len(spread)):
            self.shape_at(defaultdict(float, zip(spread, ends, strict=True)).__getitem__)

    def sample(self, seed: int, a: int, b: int) -> LinkShape:
        """The shape of the edge between ranks a and b; the same for both directions, whichever is named first.

        Each field is uniform in its range, at a quantile that depends on nothing but the seed, the two ranks and the
        field's name (SHA-256 of them): not on the order of edges, the other edges or the Python version. The profile is
        left out on purpose, so that under two profiles the same edges are the fast and the slow ones (common random
        numbers), and a comparison of profiles is not one of luck.

        A jitter given as a share is that share of the drawn delay, rounded to whole nanoseconds.
        """
        first, second = sorted((a, b))

        def quantile(name: str) -> float:
            digest = hashlib.sha256(f"{seed}:{first}:{second}:{name}".encode()).digest()
            return (int.from_bytes(digest[:8], "big") >> 11) / 2**53

        return self.shape_at(quantile)

    def _is_spread(self, name: str) -> bool:
        value: Any = self
        for part in name.split("."):
            value = getattr(value, part, None)
        return value is not None and value.low != value.high

    def shape_at(self, quantile: Callable[[str], float]) -> LinkShape:
        """The shape with each field at this quantile of its range, 0 to 1, by the field's name."""

        def draw(name: str, values: Range[T] | None) -> T | None:
            if values is None:
                return None
            return values.low if values.low == values.high else values.at(quantile(name))

        def share(name: str, values: Range[Ratio] | None) -> Ratio:
            return draw(name, values) or ZERO_RATIO

        chain = None
        if self.gilbert_elliott:
            chances = vars(self.gilbert_elliott).items()
            chain = GilbertElliott(**{key: share(f"gilbert_elliott.{key}", values) for key, values in chances})
        delay = draw("delay", self.delay) or ZERO_TIME
        spread: Range[Any] | None = self.jitter
        jitter = draw("jitter", spread) or ZERO_TIME
        if isinstance(jitter, Ratio):
            jitter = Time(round(delay.ns * jitter.value))
        made: dict[str, Any] = {
            "delay": delay,
            "jitter": jitter,
            "distribution": self.distribution,
            "gilbert_elliott": chain,
        }
        for name, one in LINK_FIELDS.items():
            if name not in made:
                made[name] = (share if one.kind is Ratio else draw)(name, getattr(self, name))
        return LinkShape(**made)

    def describe(self) -> dict[str, str]:
        """The fields that do something, for people: ``{"rate": "80 – 800 Mbit/s", "jitter": "10 %", ...}``."""
        fields_set = {key: value for key in SHAPE_KEYS if (value := getattr(self, key)) is not None}
        if self.jitter is None or self.distribution == "uniform":
            del fields_set["distribution"]
        return {key: _text(value) for key, value in fields_set.items()}

    def to_json(self) -> dict[str, Any]:
        """Every range as ``[low, high]`` in SI units (bit/s, seconds, shares, packets, bytes), or None."""

        def pair(values: Range[Any] | None) -> list[float] | None:
            return values.to_json() if values else None

        is_share = self.jitter is not None and isinstance(self.jitter.low, Ratio)
        values: dict[str, Any] = {one.json: getattr(self, name) for name, one in LINK_FIELDS.items()}
        chain = self.gilbert_elliott
        return {
            "name": self.name,
            "description": self.description,
            "source": self.source and str(self.source),
            **{key: pair(value) for key, value in values.items() if isinstance(value, Range | None)},
            "jitter_s": None if is_share else pair(self.jitter),
            "jitter_share": pair(self.jitter) if is_share else None,
            "distribution": self.distribution,
            "gilbert_elliott": chain and {key: pair(value) for key, value in vars(chain).items()},
        }


def _text(value: Range[Any] | BurstLoss | str) -> str:
    if isinstance(value, BurstLoss):
        return ", ".join(f"{name} {_text(values)}" for name, values in vars(value).items())
    return format_range(value.low, value.high) if isinstance(value, Range) else value


NONE: Final = Profile("none", "No shaping: the baseline to compare with")
