"""A model of a link: endless samples, drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from harness.model.units import Rate, Ratio, Time

Way = Literal["up", "down"]
"""What the device sends (the moving or shared end of the link), and what it receives."""
WAYS: Final[tuple[Way, Way]] = ("up", "down")
_LEAST_BIT_S: Final = 1000
"""In place of 0, where a model lets nothing pass: every engine takes this rate."""
_LEAST_DELAY_NS: Final = 10_000


@dataclass(frozen=True)
class Sample:
    """The values of one direction of a link in one step.

    Args:
        rate: bit/s.
        delay: one way, seconds.
        loss: share of packets; None: the model has no loss, and the link keeps its own.
    """

    rate: float
    delay: float
    loss: float | None = None

    def scaled(self, factor: float) -> Sample:
        """The sample with its rate multiplied."""
        return Sample(self.rate * factor, self.delay, self.loss)

    @property
    def exact_rate(self) -> Rate:
        """Rounded to three significant digits."""
        return Rate(int(float(f"{max(self.rate, _LEAST_BIT_S):.3g}")))

    @property
    def exact_delay(self) -> Time:
        """Rounded to 10 us."""
        return Time(max(_LEAST_DELAY_NS, round(self.delay * 1e5) * 10_000))

    @property
    def exact_loss(self) -> Ratio | None:
        """Rounded to 0.1 %."""
        return None if self.loss is None else Ratio(Fraction(round(self.loss * 1000), 1000))


@dataclass(frozen=True)
class LinkModel:
    """A model.

    Args:
        name: as scenarios have it.
        description: one line for people.
        sources: of its parameters, one line for people.
        draw: endless samples of one direction, from a seed, the direction and the step in seconds. Directions with the
            same seed share events such as handovers; they draw everything else independently.
    """

    name: str
    description: str
    sources: str
    draw: Callable[[str, Way, float], Iterator[Sample]]
