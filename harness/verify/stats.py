"""Estimates of delays and rates from samples, with their standard errors. Pure.

Times are in seconds, rates in bit/s on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import inf, sqrt
from statistics import fmean, median
from typing import Final

from harness.model.units import Rate
from harness.verify.samples import BulkSample, Point

NOISE_S: Final = 0.0003
"""The spread of delays that the path itself (veth, bridge, wake-ups) adds: 0.1-0.3 ms measured."""
_SLOPE_POINTS: Final = 128
"""Points from which a slope is estimated, evenly picked: the number of pairs grows with their square."""
_QUANTILES: Final = 17
"""Quantiles that represent a distribution."""
NORMAL_QUARTILES: Final = 1.349
"""The interquartile range of a normal distribution in standard deviations."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of delays, in seconds.

    Args:
        count: delays that were used.
        mean: of these.
        std: their sample standard deviation.
        stalls: delays left out because the machine caused them, not the link.
        middle: the interquartile range, which is robust against a few late packets.
        median: likewise robust.
    """

    count: int
    mean: float
    std: float
    stalls: int
    middle: float = 0.0
    median: float = 0.0

    @property
    def robust_std(self) -> float:
        """The standard deviation of a normal distribution with the same middle half."""
        return self.middle / NORMAL_QUARTILES


def std_error(kurtosis: float, count: int) -> float:
    """Standard error of a sample standard deviation, as a share of it.

    Delta method on the variance of the sample variance (Kenney and Keeping, Mathematics of Statistics, 2nd ed., part
    2, 7.8): sqrt((kurtosis - 1) / (4 n)) to first order.
    """
    return sqrt((kurtosis - 1) / (4 * count)) if count else inf


def spread(delays: Sequence[float], fence: float) -> Spread:
    """Mean and standard deviation of delays, without the machine's stalls.

    A process that is not scheduled for some milliseconds causes a delay that is not the link's. So this leaves out
    delays much farther above the median than the distribution can reach, given the interquartile range of the delays
    (with its error in a small sample). As it does not use the requested jitter, too much jitter is still detected.

    Args:
        delays: in seconds.
        fence: (greatest value - median) / interquartile range of the distribution.
    """
    if len(delays) < 2:
        only = delays[0] if delays else 0.0
        return Spread(len(delays), only, 0.0, 0, 0.0, only)
    ordered = sorted(delays)
    slack = 1.5 + 5 / sqrt(len(ordered))
    quartiles = ordered[len(ordered) * 3 // 4] - ordered[len(ordered) // 4]
    limit = median(ordered) + slack * fence * quartiles + NOISE_S
    kept = [delay for delay in ordered if delay <= limit]
    mean = fmean(kept)
    variance = sum((delay - mean) ** 2 for delay in kept) / (len(kept) - 1)
    return Spread(len(kept), mean, sqrt(variance), len(ordered) - len(kept), quartiles, median(kept))


def sum_of(delays: Sequence[float], times: int) -> tuple[float, float]:
    """Median and robust standard deviation of the sum of several independent delays, in seconds.

    If one delay in six is late, the middle half of single delays hardly shows it; but 42 % of sums of three are late.

    Args:
        delays: in seconds.
        times: how many delays are added.
    """
    if not delays:
        return 0.0, 0.0
    ordered = sorted(delays)
    picked = [ordered[len(ordered) * (2 * i + 1) // (2 * _QUANTILES)] for i in range(_QUANTILES)]
    sums = sorted(map(sum, product(picked, repeat=times)))
    return sums[len(sums) // 2], (sums[len(sums) * 3 // 4] - sums[len(sums) // 4]) / NORMAL_QUARTILES


def _second_half(sample: BulkSample) -> list[Point]:
    """The points of the second half of what arrived; empty where they are too few for an estimate."""
    points = [point for point in sample.points if 2 * point[1] >= sample.received_bytes]
    return points if len(points) >= 5 and points[-1][0] > points[0][0] else []


def estimate_span(sample: BulkSample) -> float:
    """Seconds that bulk_rate's estimate spans."""
    points = _second_half(sample)
    return points[-1][0] - points[0][0] if points else 0.0


def bulk_rate(sample: BulkSample) -> Rate | None:
    """The link's rate: the median slope of bytes over time in the train's second half (Theil 1950, Sen 1968).

    A stall of the reader or the shaper daemon makes some points late, and none early; a least-squares line would be too
    steep where the stall comes first. The median tolerates up to 29 % of such points. Jitter stretches the first half:
    netem keeps each packet behind the one before it, whose delay may be longer. None where too few arrivals are known,
    because the reader was slower than the link.
    """
    points = _second_half(sample)
    if not points:
        return None
    picked = points[:: -(-len(points) // _SLOPE_POINTS)]
    slopes = [(size - size_0) / (at - at_0) for (at_0, size_0), (at, size) in combinations(picked, 2) if at > at_0]
    return Rate(max(8, round(median(slopes) * 8))) if slopes else None


def carried_rate(sample: BulkSample) -> Rate | None:
    """Bytes over time of the whole train as it was read: a lower bound of what the machine carried."""
    if len(sample.ends) < 2 or sample.ends[1][0] <= sample.ends[0][0]:
        return None
    (start, first), (end, last) = sample.ends
    return Rate(max(8, round((last - first) * 8 / (end - start))))


def sent_rate(sample: BulkSample) -> Rate | None:
    """How fast the sender handed the train to the kernel; None where that took no time."""
    return Rate(max(8, round(sample.sent_bytes * 8 / sample.sent_s))) if sample.sent_s > 0 else None
