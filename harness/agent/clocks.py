"""How far another machine's clock is ahead of ours, from requests and answers that both stamp: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Exchange:
    """A request and its answer; in seconds, each by the clock of the machine where it happened.

    Args:
        sent: when we sent the request.
        received: when it was received there.
        answered: when the answer was sent there.
        arrived: when it arrived here.
    """

    sent: float
    received: float
    answered: float
    arrived: float

    @property
    def round_trip(self) -> float:
        """Seconds under way, there and back: without the time that the other took to answer."""
        return (self.arrived - self.sent) - (self.answered - self.received)

    @property
    def ahead(self) -> float:
        """Seconds that the other's clock is ahead of ours, if both ways took equally long (RFC 5905, section 8)."""
        return ((self.received - self.sent) + (self.answered - self.arrived)) / 2


def clock_ahead(exchanges: Sequence[Exchange]) -> tuple[float, float]:
    """Seconds that the other's clock is ahead of ours, and how much it may be more or less.

    The exchange that was under way for the shortest time bounds it best: neither way can have taken less than nothing,
    so the true value is at most half its round trip away. Waiting anywhere makes the others worse, not this one.

    Args:
        exchanges: one at least, all of a short time.
    """
    best = min(exchanges, key=lambda exchange: exchange.round_trip)
    return best.ahead, max(0.0, best.round_trip / 2)
