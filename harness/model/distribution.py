"""Jitter distributions, as netem draws them: from a table of 16-bit values in units of the jitter.

netem delays a packet by ``delay + jitter * table[random] / 8192`` (Linux, net/sched/sch_netem.c, tabledist). The tables
for normal, pareto and paretonormal are those that iproute2 generates with netem/normal.c, netem/pareto.c and
netem/paretonormal.c, value for value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import floor, inf, sqrt
from typing import Final

from harness.model.link import Distribution, LinkShape

SCALE: Final = 8192
"""The table value that stands for the jitter itself: NETEM_DIST_SCALE in linux/pkt_sched.h."""
_HIGHEST: Final = 32767
_LOWEST: Final = -32768


@lru_cache
def table(distribution: Distribution) -> tuple[int, ...]:
    """The values that netem draws from, in 1/8192 of the jitter, ascending.

    The kernel draws uniform jitter without a table. The table for it here is for a qdisc that has had another, because
    netem cannot drop a table.
    """
    if distribution == "uniform":
        return tuple(round(SCALE * (2 * i / 1023 - 1)) for i in range(1024))
    normal, pareto = _normal(), _pareto()
    if distribution == "normal":
        return tuple(max(_LOWEST, min(_HIGHEST, value)) for value in normal)
    if distribution == "pareto":
        return pareto
    return tuple(int((one + 3 * other) / 4) for one, other in zip(normal, pareto, strict=True))


def highest(distribution: Distribution) -> float:
    """The most that a jitter of 1 can add to the delay; a table's values have 16 bits."""
    return 1.0 if distribution == "uniform" else _HIGHEST / SCALE


def _normal() -> tuple[int, ...]:
    """netem/normal.c: the last x on a grid of 0.00005 from -10 whose share of 16384 rounds to i, for every fourth i.

    Not clipped to 16 bits, because netem/paretonormal.c mixes it unclipped: a quarter of it, three quarters of pareto.
    """
    from statistics import NormalDist  # not at the top: it takes 10 ms to import

    quantile, step = NormalDist().inv_cdf, 0.00005
    grid = (-10 + step * floor((quantile((i + 0.5) / 16384) + 10) / step) for i in range(0, 16384, 4))
    return tuple(round(x * SCALE) for x in grid)


def _pareto() -> tuple[int, ...]:
    """netem/pareto.c: shape 3, shifted and scaled to mean 0 and standard deviation 1 or so, cut at 4."""
    share = (i / 65536 for i in range(65536, 0, -16))
    return tuple(round(min(_HIGHEST, (1 / u ** (1 / 3) - 1.5) * (4 / 3) * SCALE)) for u in share)


@dataclass(frozen=True)
class Form:
    """The moments and bounds of a distribution, in units of the jitter.

    Args:
        mean: of the jitter, which need not be 0.
        std: standard deviation.
        kurtosis: fourth central moment over the squared variance (3 for a true normal).
        low: the least value.
        high: the greatest value.
        fence: (high - median) / interquartile range.
    """

    mean: float
    std: float
    kurtosis: float
    low: float
    high: float
    fence: float

    @property
    def span(self) -> float:
        """high - low."""
        return self.high - self.low


@lru_cache(maxsize=4096)
def form(distribution: Distribution, floor: float = -inf) -> Form:
    """Moments and bounds of a distribution, of its table where the kernel draws from one.

    Args:
        distribution: which.
        floor: -delay / jitter, where the distribution is cut: a packet cannot leave before it arrived.
    """
    if distribution == "uniform" and floor <= -1:
        return Form(mean=0, std=1 / sqrt(3), kurtosis=1.8, low=-1, high=1, fence=1)
    values = [max(floor, value / SCALE) for value in table(distribution)]
    mean = sum(values) / len(values)
    squares = [(value - mean) ** 2 for value in values]
    variance = sum(squares) / len(values)
    kurtosis = sum(square * square for square in squares) / len(values) / variance**2
    lower, median, upper = (values[len(values) * quarter // 4] for quarter in (1, 2, 3))
    return Form(mean, sqrt(variance), kurtosis, values[0], values[-1], (values[-1] - median) / (upper - lower))


def jitter_form(shape: LinkShape) -> Form:
    """The form of a link's jitter, cut where the delay would be negative."""
    return form(shape.distribution, -shape.delay.ns / shape.jitter.ns if shape.jitter.ns else -1)


def moments(distribution: Distribution) -> tuple[float, float]:
    """Mean and standard deviation in units of the jitter."""
    known = form(distribution)
    return known.mean, known.std
