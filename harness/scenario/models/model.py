"""What a model of a link is: samples without end, drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from harness.model.units import Rate, Ratio, Time

Way = Literal["up", "down"]
"""What the device on the moving or shared end sends, and what it receives."""
WAYS: Final[tuple[Way, Way]] = ("up", "down")
_LEAST_BIT_S: Final = 1000
"""Where a model lets nothing pass: low enough, and a rate that every engine takes."""
_LEAST_DELAY_NS: Final = 10_000


@dataclass(frozen=True)
class Sample:
    """What one direction of a link is for one step.

    Args:
        rate: bit/s.
        delay: one way, seconds.
        loss: share of packets; None: the model has none, and a link keeps its own.
    """

    rate: float
    delay: float
    loss: float | None = None

    def scaled(self, factor: float) -> Sample:
        """With the rate times this."""
        return Sample(self.rate * factor, self.delay, self.loss)

    @property
    def exact_rate(self) -> Rate:
        """To three significant digits: what is finer no model knows."""
        return Rate(int(float(f"{max(self.rate, _LEAST_BIT_S):.3g}")))

    @property
    def exact_delay(self) -> Time:
        """To 10 us."""
        return Time(max(_LEAST_DELAY_NS, round(self.delay * 1e5) * 10_000))

    @property
    def exact_loss(self) -> Ratio | None:
        """To 0.1 %."""
        return None if self.loss is None else Ratio(Fraction(round(self.loss * 1000), 1000))


@dataclass(frozen=True)
class LinkModel:
    """A model by its name.

    Args:
        name: as scenarios have it.
        description: one line for people.
        sources: where its parameters are from, one line for people.
        draw: samples of one direction without end, given a seed, the direction and the length of a step in seconds.
            Directions with the same seed share what is one event for both, e.g. a handover; all else they draw apart.
    """

    name: str
    description: str
    sources: str
    draw: Callable[[str, Way, float], Iterator[Sample]]
