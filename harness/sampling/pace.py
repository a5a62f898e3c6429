"""How often to sample so that it takes no more than its share of a core. Pure."""

from __future__ import annotations

import math
from typing import Final

INTERVAL: Final = 0.1
"""The least number of seconds between samples."""
SHARE: Final = 0.02
"""Of one core, for all nodes of a network."""
NODES: Final = 8
"""In containers each node samples itself, with its part of that share, but at least 1/8 of it."""
_MOST: Final = 0.5
"""The largest weight of the newest sample in the moving average of the cost; after INTERVAL its weight is a tenth."""
_EARLY: Final = 0.01
"""The part of an interval by which a timer may fire too early."""


class Pace:
    """Decides when to sample next: at as many multiples of INTERVAL as the share of one core permits."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._cost = self._due = 0.0

    def next(self, now: float, cost: float) -> float:
        """When to sample next; as all nodes use multiples of INTERVAL, they sample at the same times.

        Args:
            now: seconds since the epoch.
            cost: CPU seconds since the previous sample.
        """
        step = self._cost / self._share
        self._cost += min(_MOST, max(INTERVAL, step)) * (cost - self._cost) if self._cost else cost
        self._due = max(now, min(self._due, now) + max(INTERVAL, self._cost / self._share))
        return max(math.ceil(self._due / INTERVAL - _EARLY), math.floor(now / INTERVAL + _EARLY) + 1) * INTERVAL
