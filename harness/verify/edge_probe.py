"""What is sent over one edge to measure it. Pure values; plan.py decides them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from harness.model.address import FRAME
from harness.model.link import Pair

READS_PER_S: Final = 5_000
"""Packets of a bulk train that a probe can read without falling behind."""
_UNLIMITED_BIT_S: Final = 1e9
"""The rate that sampling assumes of a link without a limit."""
OVERDRIVE: Final = 2.0
"""A bulk train is sent at this many times the link's rate."""
_GENTLE_OVERDRIVE: Final = 1.2
"""The same for a second train, where the first seemed slow, perhaps because it overloaded the machine."""


@dataclass(frozen=True)
class Echo:
    """Small packets that the far end returns at once: count, spacing (s), and how long to wait for the last (s)."""

    count: int
    interval_s: float
    wait_s: float


@dataclass(frozen=True)
class Train:
    """Small packets one way: count, spacing (s), and how long to wait for one more (s)."""

    count: int
    interval_s: float
    wait_s: float


@dataclass(frozen=True)
class Bulk:
    """Bursts of full frames one way: count, frames in each, spacing (s; 0: none), how long to wait for one more (s).

    It is sent at ``overdrive`` times the link's rate; a full frame has ``frame`` bytes.
    """

    bursts: int
    segments: int
    interval_s: float
    wait_s: float
    overdrive: float = OVERDRIVE
    frame: int = FRAME

    @property
    def rate_bit_s(self) -> float:
        """The rate of sending, on the wire; 0: as fast as the machine can."""
        return self.segments * self.frame * 8 / self.interval_s if self.interval_s else 0.0

    @property
    def link_bit_s(self) -> float:
        """The link's rate that it was planned for; 0: no limit."""
        return self.rate_bit_s / self.overdrive

    @property
    def one_in(self) -> int:
        """The receiver needs to read one packet in this many; a power of two."""
        most = self.link_bit_s or _UNLIMITED_BIT_S
        return 1 << max(1, int(most / (8 * self.frame * READS_PER_S))).bit_length() - 1

    @property
    def seconds(self) -> float:
        """Seconds that the link takes for it, with the wait for the last packet."""
        return self.bursts * self.interval_s * self.overdrive + self.wait_s

    def gentle(self) -> Bulk:
        """The same train at little more than the link's rate."""
        overdrive = min(self.overdrive, _GENTLE_OVERDRIVE)
        return replace(self, interval_s=self.interval_s * self.overdrive / overdrive, overdrive=overdrive)


@dataclass(frozen=True)
class EdgeProbe:
    """What to send over one edge; forward is from the first of its pair to the second, backward the other way.

    Echo and bulk are None where the link is down; they and trains are None where the link is too slow for the time.
    """

    pair: Pair
    echo: Echo | None
    forward_train: Train | None
    backward_train: Train | None
    forward_bulk: Bulk | None
    backward_bulk: Bulk | None

    @property
    def seconds(self) -> float:
        """Approximate duration of measuring the edge."""
        echo = self.echo.count * self.echo.interval_s + 2 * self.echo.wait_s if self.echo else 0.0
        trains = [train for train in (self.forward_train, self.backward_train) if train]
        bulks = [bulk for bulk in (self.forward_bulk, self.backward_bulk) if bulk]
        return (
            echo
            + max((train.count * train.interval_s + train.wait_s for train in trains), default=0.0)
            + sum(bulk.seconds for bulk in bulks)
        )
