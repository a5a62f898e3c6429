"""``wifi-busy``: a station on a Wi-Fi channel that others use too.

Other stations come and go; each that sends takes an equal share of the time on air, from both directions at once. What
waits for the channel is mostly short and rarely long. Sources: delays, "Characterizing and Improving WiFi Latency in
Large-Scale Operational Networks" (MobiSys 2016): a median of 3 ms, a 90th percentile of 20 ms and a 99th of 250 ms,
taken as the round trip of the hop; an equal share for each station: "Performance Anomaly of 802.11b" (INFOCOM 2003).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Final

from harness.scenario.models.draws import Arrivals, Wandering
from harness.scenario.models.model import LinkModel, Sample, Way

ALONE: Final = 280e6
"""bit/s that a station gets alone: 70 % of the 400 Mbit/s of 802.11ac with two streams in 40 MHz (MCS 9)."""
FADING: Final = 0.25
FADING_S: Final = 5.0
"""Standard deviation of the rate's logarithm, and its memory: estimates."""
OTHERS: Final = 3.0
"""Stations that send beside this one, on average: an estimate. Their number is Poisson's."""
SENDS_S: Final = 4.0
"""Mean time that another one sends: an estimate."""
USUAL_DELAY: Final = 0.0015
DELAY_SPREAD: Final = 1.48
"""Half of the round trip: median in seconds, and standard deviation of its logarithm, from the 90th percentile."""
DELAY_S: Final = 0.1
"""Memory of the delay: an estimate."""
STALL_GAP: Final = 10.0
STALL_S: Final = 0.2
STALL: Final = (0.05, 0.2)
"""Seconds between, of, and added by moments in which the channel is hardly free: so that the 99th percentile is the
measured one. Estimates."""
MOST_DELAY: Final = 0.25
"""Seconds."""


def draw(seed: str, way: Way, step: float) -> Iterator[Sample]:
    """See LinkModel."""
    own, shared = Random(f"{seed}:{way}"), Random(f"{seed}:channel")
    fading, delay = Wandering(own, FADING_S, step), Wandering(own, DELAY_S, step)
    stalls, arrivals = Arrivals(own, STALL_GAP), Arrivals(shared, SENDS_S / OTHERS)
    sending = [shared.expovariate(1 / SENDS_S) for _ in range(round(OTHERS))]
    stalled, added = 0.0, 0.0
    while True:
        rate = ALONE / (1 + len(sending)) * math.exp(FADING * fading.next())
        waits = USUAL_DELAY * math.exp(DELAY_SPREAD * delay.next())
        if stalls.within(step):
            stalled, added = STALL_S, own.uniform(*STALL)
        yield Sample(rate, min(MOST_DELAY, waits + added * min(1.0, stalled / step)))
        stalled = max(0.0, stalled - step)
        sending = [left - step for left in sending if left > step]
        begun = (shared.expovariate(1 / SENDS_S) - shared.uniform(0, step) for _ in range(arrivals.within(step)))
        sending += [left for left in begun if left > 0]


MODEL: Final = LinkModel(
    "wifi-busy",
    "A station on a channel that others use too: an equal share for each, long waits now and then",
    "MobiSys 2016 (WiFi latency in large-scale networks), INFOCOM 2003 (equal shares); rates and loads are estimates",
    draw,
)
