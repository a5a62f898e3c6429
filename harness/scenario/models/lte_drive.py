"""``lte-drive``: a phone on a cellular network, in a car.

The rate's logarithm wanders, slowly with the place and fast with fading; at a handover to the next cell nothing passes
for a moment, in both directions at once. Sources of the parameters: [S] Satellite-vs-Cellular, the data of "LEO
Satellite vs. Cellular Networks" (CoNEXT 2023), UDP downlink of AT&T faster than 15 mph, 23,390 seconds; [M] the data of
"An In-Depth Study of Uplink Performance of 5G mmWave Networks" (5G-MeMU 2022), LTE while driving, 53,487 samples of the
uplink and 12,527 of the round trip; [U] the data of "Beyond Throughput, The Next Generation" (MMSys 2020), LTE seconds
of downloads in a car. All were evaluated by us. What has no source says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Final

from harness.scenario.models.draws import Arrivals, Wandering
from harness.scenario.models.model import LinkModel, Sample, Way

MEDIAN: Final[dict[Way, float]] = {"up": 35.9e6, "down": 39.3e6}
"""bit/s. Up [M]; down [S]."""
SPREAD: Final[dict[Way, float]] = {"up": 0.73, "down": 1.16}
"""Standard deviation of the rate's logarithm. Up: from the 5th percentile, 10.8 Mbit/s [M]; down: from the quartiles,
18 and 85.6 Mbit/s [S]."""
MOST: Final[dict[Way, float]] = {"up": 46e6, "down": 200e6}
"""bit/s: the 95th percentiles, where the measured rates end; up [M], down [S]."""
SLOW_S: Final = 45.0
"""Memory of the slow part: an autocorrelation of 0.57 after 15 s and 0.40 after 30 s [S]."""
FAST_S: Final = 1.0
FAST_SHARE: Final = 0.1
"""Of the variance: an autocorrelation of 0.90 after 1 s [S]. Its memory is an estimate."""
LEAST_DELAY: Final = 0.013
USUAL_DELAY: Final = 0.0036
DELAY_SPREAD: Final = 0.61
"""The one-way delay is LEAST_DELAY and a lognormal part with this median and spread. Half of the round trip, whose 5th,
50th and 95th percentiles are 27, 33.2 and 45.7 ms [M]."""
DELAY_S: Final = 0.5
"""Memory of the delay: an autocorrelation of 0.64 from one ping to the next [M], taken as 5 a second (estimate)."""
CELL_S: Final = 31.0
"""Mean time between two handovers: at 32 km/h on average [U]."""
HANDOVER: Final = 0.05
"""Seconds without traffic at a handover: the 49.5 ms of 3GPP TR 36.881."""


def draw(seed: str, way: Way, step: float) -> Iterator[Sample]:
    """See LinkModel."""
    own = Random(f"{seed}:{way}")
    handovers = Arrivals(Random(f"{seed}:cells"), CELL_S)
    slow, fast, delay = (Wandering(own, memory, step) for memory in (SLOW_S, FAST_S, DELAY_S))
    while True:
        place = math.sqrt(1 - FAST_SHARE) * slow.next() + math.sqrt(FAST_SHARE) * fast.next()
        rate = min(MOST[way], MEDIAN[way] * math.exp(SPREAD[way] * place))
        waits = LEAST_DELAY + USUAL_DELAY * math.exp(DELAY_SPREAD * delay.next())
        silent = min(step, HANDOVER * handovers.within(step))
        yield Sample(rate * (1 - silent / step), waits + silent * silent / step)


MODEL: Final = LinkModel(
    "lte-drive",
    "A phone in a car: the rate wanders with the place, handovers every half minute",
    "CoNEXT 2023 (Starlink-Project/Satellite-vs-Cellular), 5G-MeMU 2022 (NUWiNS), MMSys 2020 (uccmisl/5Gdataset)",
    draw,
)
