"""How often to sample, so that it takes no more than its share of a core: pure."""

from __future__ import annotations

import math
from typing import Final

INTERVAL: Final = 0.1
"""Seconds between samples, where that costs no more than it may."""
SHARE: Final = 0.02
"""Of one core, for all nodes of a network."""
NODES: Final = 8
"""In containers each node samples itself, with its part of that share, but not less than one of so many would have."""
_MOST: Final = 0.5
"""How much the newest sample counts at most in what a sample costs; after INTERVAL it counts a tenth. The rest of it is
what it cost before."""
_EARLY: Final = 0.01
"""The part of an interval by which a timer may fire before its moment, which is over then."""


class Pace:
    """Decides when to sample next: at multiples of INTERVAL, at all of them or at as many as it may.

    Args:
        share: of one core.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._cost = self._due = 0.0

    def next(self, now: float, cost: float) -> float:
        """When to sample next. Nodes that sample themselves do it at the same moments.

        Args:
            now: seconds since the epoch.
            cost: CPU seconds since the sample before.
        """
        step = self._cost / self._share
        self._cost += min(_MOST, max(INTERVAL, step)) * (cost - self._cost) if self._cost else cost
        self._due = max(now, min(self._due, now) + max(INTERVAL, self._cost / self._share))
        return max(math.ceil(self._due / INTERVAL - _EARLY), math.floor(now / INTERVAL + _EARLY) + 1) * INTERVAL
