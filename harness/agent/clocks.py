"""Computes how far another machine's clock is ahead, from requests and answers with time stamps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ClockExchange:
    """A request and its answer: four times in seconds, each by the clock of the machine where it happened.

    Args:
        sent: we sent the request.
        received: the other received it.
        answered: the other sent the answer.
        arrived: the answer arrived here.
    """

    sent: float
    received: float
    answered: float
    arrived: float

    @property
    def round_trip(self) -> float:
        """Seconds, without the time that the other took to answer."""
        return (self.arrived - self.sent) - (self.answered - self.received)

    @property
    def ahead(self) -> float:
        """Seconds that the other's clock is ahead, if both ways took equally long (RFC 5905, section 8)."""
        return ((self.received - self.sent) + (self.answered - self.arrived)) / 2


def clock_ahead(exchanges: Sequence[ClockExchange]) -> tuple[float, float]:
    """Seconds that the other's clock is ahead, and the uncertainty of that, plus or minus.

    It is that of the exchange with the shortest round trip: neither way can take less than no time, so the true value
    is at most half the round trip away.

    Args:
        exchanges: at least one, all within a short time.
    """
    best = min(exchanges, key=lambda exchange: exchange.round_trip)
    return best.ahead, max(0.0, best.round_trip / 2)
