"""``5g-walk``: a pedestrian with a phone on millimetre-wave 5G, which falls back to LTE where the beam is blocked.

Two states, the same for both directions, each with its own rates and delays. Sources of the parameters: [V] the data of
"A Variegated Look at 5G in the Wild" (SIGCOMM 2021), four walks in Ann Arbor with downloads over Verizon's mmWave,
3,132 seconds, of which those over 150 Mbit/s are taken as mmWave; [M] the data of "An In-Depth Study of Uplink
Performance of 5G mmWave Networks" (5G-MeMU 2022), walking away from the base station. Evaluated by us.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from harness.scenario.models.draws import Wandering
from harness.scenario.models.model import LinkModel, Sample, Way


@dataclass(frozen=True)
class Radio:
    """One of the two networks.

    Args:
        stay: mean time on it, seconds; lognormal, with a quarter of that in the median.
        median: of the rate, by direction, bit/s.
        spread: standard deviation of the rate's logarithm, by direction.
        memory: of the rate, seconds.
        least_delay, usual_delay, delay_spread: the one-way delay is the first and a lognormal part with this median
            (seconds) and spread.
    """

    stay: float
    median: dict[Way, float]
    spread: dict[Way, float]
    memory: float
    least_delay: float
    usual_delay: float
    delay_spread: float


MMWAVE: Final = Radio(
    stay=16.0,  # 4 s in the median [V]
    median={"up": 51.2e6, "down": 706e6},  # [M], [V]
    spread={"up": 0.74, "down": 0.69},  # [M], [V]
    memory=13.0,  # an autocorrelation of 0.48 after 10 s and 0.22 after 20 s [V]
    least_delay=0.0052,  # half of the round trip, whose 1st, 50th and 95th percentiles are 10.5, 14.6 and 21.5 ms [M]
    usual_delay=0.0021,
    delay_spread=0.6,
)
LTE: Final = Radio(
    stay=7.8,  # 2 s in the median [V]
    median={"up": 45.1e6, "down": 57.1e6},  # [M], [V]
    spread={"up": 0.12, "down": 0.43},  # [M]; the quartiles 45.2 and 81.2 Mbit/s [V]
    memory=3.0,  # an autocorrelation of 0.53 after 2 s and 0.20 after 5 s [V]
    least_delay=0.0122,  # likewise: 24.5, 34.5 and 104 ms [M]
    usual_delay=0.005,
    delay_spread=1.26,
)
STAY_RATIO: Final = 4.0
"""Of the mean stay to the median [V]."""
MOST: Final[dict[Way, float]] = {"up": 150e6, "down": 2e9}
"""bit/s: up, the most that was measured walking towards the base station is 147 Mbit/s [M]; down, the most of [V]."""
MOST_DELAY: Final = 0.11
"""Seconds: half of the longest round trips [M]."""
SWITCH: Final = 0.1
"""Seconds without traffic when the phone changes the network: an estimate."""
DELAY_S: Final = 0.25
"""Memory of the delay: an autocorrelation of 0.36 to 0.46 from one ping to the next [M], taken as 5 a second."""


def draw(seed: str, way: Way, step: float) -> Iterator[Sample]:
    """See LinkModel."""
    own, shared = Random(f"{seed}:{way}"), Random(f"{seed}:beam")
    (radio, rates), other = ((one, Wandering(own, one.memory, step)) for one in (MMWAVE, LTE))
    delay = Wandering(own, DELAY_S, step)
    left = _stay(radio, shared)
    while True:
        rate = radio.median[way] * math.exp(radio.spread[way] * rates.next())
        waits = radio.least_delay + radio.usual_delay * math.exp(radio.delay_spread * delay.next())
        silent, left = 0.0, left - step
        while left < 0:
            (radio, rates), other, silent = other, (radio, rates), min(step, silent + SWITCH)
            left += _stay(radio, shared)
        yield Sample(min(MOST[way], rate) * (1 - silent / step), min(MOST_DELAY, waits + silent * silent / step))


def _stay(radio: Radio, random: Random) -> float:
    return random.lognormvariate(math.log(radio.stay / STAY_RATIO), math.sqrt(2 * math.log(STAY_RATIO)))


MODEL: Final = LinkModel(
    "5g-walk",
    "A pedestrian on millimetre-wave 5G that falls back to LTE a third of the time",
    "SIGCOMM 2021 (SIGCOMM21-5G/artifact), 5G-MeMU 2022 (NUWiNS)",
    draw,
)
