"""``spot-preemption``: nodes on spare machines that a cloud takes back, several at once, and gives again later.

Preemptions come by chance. Each takes two groups of nodes, which may overlap, each back after a time of its own; a node
that is struck again while it is away stays away until both are over. With two nodes there is but one to take. Sources:
spot-traces, the data of "Can't Be Late" (NSDI 2024), evaluated by us: [1] one V100 on AWS for a week in us-west-2b and
us-west-2c; [4] four of them for two weeks in us-east-1f, us-east-2a and us-west-2c. That machines of a kind go together
within minutes is also what "Spot-and-Scoot" (2026) finds, in 92 % of 2,635 interruptions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from random import Random
from typing import Final, NamedTuple

GAP_S: Final = 5450.0
"""Mean time between two preemptions: that of a node's stay, 10,348 and 7,812 s [1], times the share that one takes."""
GROUPS: Final = 2
SHARE: Final = Fraction(37, 100)
"""Of all nodes, in each group: so that a preemption takes 0.6 of the nodes there; 0.61, 0.50 and 0.67 on average
[4]."""
AWAY_S: Final = 1200.0
SPREAD: Final = 1.2
"""Median in seconds and standard deviation of the logarithm of a group's absence: so that, with what overlaps, the mean
and the median of a node's are 3,010 and 1,536 s [1]."""
NAME: Final = "spot-preemption"
DESCRIPTION: Final = "Spare machines: every 90 minutes a cloud takes 60 % of them, for half an hour in the median"
SOURCES: Final = "NSDI 2024 (skypilot-org/spot-traces)"


class Taken(NamedTuple):
    """A group of nodes that is taken.

    Args:
        at: when, in seconds from the beginning.
        share: of all nodes.
        lasts: for how many seconds.
    """

    at: float
    share: Fraction
    lasts: float


def draw(seed: str) -> Iterator[Taken]:
    """Endless groups, in the order of their times; the caller draws which nodes are in them."""
    random, at = Random(seed), 0.0
    while True:
        at += random.expovariate(1 / GAP_S)
        for _ in range(GROUPS):
            yield Taken(at, SHARE, random.lognormvariate(math.log(AWAY_S), SPREAD))
