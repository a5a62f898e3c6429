"""``starlink``: a satellite dish that stands still, on a constellation that is scheduled anew every 15 seconds.

At 12, 27, 42 and 57 seconds of every minute, on all dishes at once, each gets another satellite: its rates and its
delay jump, now and then with losses. The minute is the model's, which begins with the event. Sources: the moments, "A
Multifaceted Look at Starlink Performance" (WWW 2024) and "Making Sense of Constellations" (CoNEXT companion 2023), seen
again by us in the data of "LEO Satellite vs. Cellular Networks" (CoNEXT 2023): from one second to the next the rate
changes 1.8 times as much there; [O] the data of "Starlink on the Road" (TMA 2024), dish at rest: 11,817 seconds of UDP
and 782 runs of 250 pings, evaluated by us.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Final

from harness.scenario.models.draws import Wandering
from harness.scenario.models.model import LinkModel, Sample, Way

PERIOD: Final = 15.0
FIRST: Final = 12.0
"""Seconds."""
MEAN_DOWN: Final = 290e6
LEVEL_DOWN: Final = 75e6
NOISE_DOWN: Final = 60e6
"""bit/s: of the downlink, the standard deviations from one interval to the next and inside one. Measured: mean 280,
standard deviation 93, 5th to 95th percentile 96 to 414 Mbit/s [O]."""
MEDIAN_UP: Final = 17.8e6
LEVEL_UP: Final = 0.38
NOISE_UP: Final = 0.38
"""The uplink is lognormal: median in bit/s, standard deviations of the logarithm likewise. Measured: 5th to 95th
percentile 5.9 to 35.4 Mbit/s [O]."""
LEAST: Final[dict[Way, float]] = {"up": 2e6, "down": 20e6}
MOST: Final[dict[Way, float]] = {"up": 50e6, "down": 450e6}
"""bit/s: where the measured rates end [O]."""
RATE_S: Final = 4.0
"""Memory of the rates inside an interval: an autocorrelation of 0.84 after 1 s and 0.53 after 5 s [O]."""
LEAST_DELAY: Final = 0.0214
LEVEL_DELAY: Final = (0.0235, 0.0315)
NOISE_DELAY: Final = 0.0037
DELAY_S: Final = 0.1
"""Seconds, one way: half of a round trip of at least 42.9 ms and of 56.7 ms in the median, with a standard deviation of
7.5 ms in 25 s [O]. An interval's level is uniform between two values (estimate)."""
LOSSY: Final = 0.33
LOSS_S: Final = 2.0
LOSS: Final = 0.5
"""The share of reconfigurations with losses, for how long, and of how many packets. Losses of up to 50 % at handovers:
"A browser-side view of Starlink connectivity" (IMC 2022). The share and the time give 2.2 % on average, 0 in the
median and 8.4 % in the 95th percentile of 25 s [O]."""


def draw(seed: str, way: Way, step: float) -> Iterator[Sample]:
    """See LinkModel."""
    own, shared = Random(f"{seed}:{way}"), Random(f"{seed}:satellite")
    rates, delays = Wandering(own, RATE_S, step), Wandering(own, DELAY_S, step)
    now, ends, lossy_until = 0.0, FIRST, 0.0
    level, delay = own.gauss(0, 1), shared.uniform(*LEVEL_DELAY)
    while True:
        if way == "down":
            rate = MEAN_DOWN + LEVEL_DOWN * level + NOISE_DOWN * rates.next()
        else:
            rate = MEDIAN_UP * math.exp(LEVEL_UP * level + NOISE_UP * rates.next())
        rate = min(MOST[way], max(LEAST[way], rate))
        loss = LOSS * min(1.0, max(0.0, lossy_until - now) / step)
        yield Sample(rate, max(LEAST_DELAY, delay + NOISE_DELAY * delays.next()), loss)
        now += step
        while now >= ends - step / 1000:
            if shared.random() < LOSSY:
                lossy_until = ends + LOSS_S
            level, delay, ends = own.gauss(0, 1), shared.uniform(*LEVEL_DELAY), ends + PERIOD


MODEL: Final = LinkModel(
    "starlink",
    "A satellite dish at rest: rates, delay and losses jump 12, 27, 42 and 57 s into every minute",
    "WWW 2024 (arXiv 2310.09242), CoNEXT 2023 (arXiv 2307.00402), IMC 2022, TMA 2024 (sys-uos/Starlink-on-the-Road)",
    draw,
)
