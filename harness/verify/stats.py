"""The samples that probes took, and estimates from them with their standard errors. Pure.

Times are in seconds, rates in bit/s on the wire, shares between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import exp, floor, inf, lgamma, log, log1p, sqrt
from statistics import fmean, median
from typing import Final, Literal

from harness.model.link import LinkShape
from harness.model.units import Rate

NOISE_S: Final = 0.0003
"""How much the path itself (veth, bridge, wake-ups) adds to the spread of delays: 0.1-0.3 ms measured."""
_SLOPE_POINTS: Final = 128
"""Points from which a slope is estimated, evenly picked: the number of pairs grows with the square."""
_QUANTILES: Final = 17
"""Quantiles that represent a distribution."""
NORMAL_QUARTILES: Final = 1.349
"""The interquartile range of a normal distribution in standard deviations."""


Point = tuple[float, int]
"""An arrival in seconds, and the bytes on the wire so far."""


@dataclass(frozen=True)
class EchoSample:
    """One packet's delays there and back, in seconds, without the time that the far end took to return it."""

    forward: float
    backward: float

    @property
    def round_trip(self) -> float:
        """Both ways together."""
        return self.forward + self.backward


@dataclass(frozen=True)
class TrainCount:
    """What arrived of a train of small packets; duplicates are not counted as received.

    Overtakers are packets that arrived before one that was sent before them.
    """

    sent: int
    received: int
    duplicates: int = 0
    overtakers: int = 0

    @property
    def loss(self) -> float:
        """Share of packets that did not arrive."""
        return 1 - self.received / self.sent if self.sent else 0.0


@dataclass(frozen=True)
class BulkSample:
    """A train of full frames as it left and as it arrived.

    Args:
        sent_bytes: on the wire.
        sent_s: how long it took to hand them to the kernel.
        received_bytes: on the wire.
        points: (arrival in s, bytes on the wire so far) of reads whose time of arrival is known.
        busiest_cpu: share of the time for which the busiest CPU was busy meanwhile.
        ends: the first and the last read as points, by the time of the read where that of the arrival is not known.
    """

    sent_bytes: int
    sent_s: float
    received_bytes: int
    points: tuple[Point, ...]
    busiest_cpu: float = 0.0
    ends: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Direction:
    """What was measured one way; None where it was not.

    The steps in left_out were not tried, because the link is too slow for a result in the time that was given.
    """

    train: TrainCount | None = None
    bulk: BulkSample | None = None
    left_out: tuple[Literal["train", "bulk"], ...] = ()


@dataclass(frozen=True)
class EdgeMeasurement:
    """What was measured over one edge: forward is from the first of its pair to the second.

    How much the machine itself adds to a delay was measured beside it: ``timers_late`` is by how much the sender's
    sleeps ended too late (a qdisc's delay ends by a timer, too), ``local_delays`` how long a packet takes from a node
    to itself; both in seconds. ``echo_left_out``: see Direction.left_out.
    """

    pair: tuple[int, int]
    echoes_sent: int = 0
    echoes: tuple[EchoSample, ...] = ()
    timers_late: tuple[float, ...] = ()
    local_delays: tuple[float, ...] = ()
    forward: Direction = Direction()
    backward: Direction = Direction()
    ipv6: bool = False
    echo_left_out: bool = False


@dataclass(frozen=True)
class LoadMeasurement:
    """What came through a shared capacity from all its senders at once.

    Args:
        samples: of each flow.
        timers_late: by how much the senders' sleeps ended too late, in seconds.
        busiest_cpu: share of the time for which the busiest CPU was busy.
    """

    samples: tuple[BulkSample, ...]
    timers_late: tuple[float, ...] = ()
    busiest_cpu: float = 0.0


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of delays, in seconds.

    Args:
        count: delays that were used.
        mean: of these.
        std: their sample standard deviation.
        stalls: delays that were not used, because the machine and not the link caused them.
        middle: the interquartile range, which a few late packets do not change.
        median: which they do not change either.
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
    delays that lie much farther above the median than the distribution can reach, given its interquartile range. It
    uses the distribution's form, not the requested jitter, so a link with too much jitter is still detected. The limit
    allows for the error of that range in a small sample.

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
    """Median and robust standard deviation of the sum of several independent such delays, in seconds.

    If one delay in six is late, the middle half of single delays hardly shows it; of sums of three 42 % are late.

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
    """The points of the second half of what arrived; none where they are too few for an estimate."""
    points = [point for point in sample.points if 2 * point[1] >= sample.received_bytes]
    return points if len(points) >= 5 and points[-1][0] > points[0][0] else []


def estimate_span(sample: BulkSample) -> float:
    """The time that bulk_rate's estimate spans, in seconds."""
    points = _second_half(sample)
    return points[-1][0] - points[0][0] if points else 0.0


def bulk_rate(sample: BulkSample) -> Rate | None:
    """The link's rate: the median slope of bytes over time in the train's second half (Theil 1950, Sen 1968).

    A stall - of the reader, or of the shaper daemon - makes some points late, and none early; a line of least squares
    through them would be too steep where the stall comes first. The median tolerates up to 29 % of such points. Jitter
    stretches the first half: netem keeps each packet behind the one before it, whose delay may be longer. None where
    too few arrivals are known, because the reader was slower than the link.
    """
    points = _second_half(sample)
    if not points:
        return None
    picked = points[:: -(-len(points) // _SLOPE_POINTS)]
    slopes = [(size - size_0) / (at - at_0) for (at_0, size_0), (at, size) in combinations(picked, 2) if at > at_0]
    return Rate(max(8, round(median(slopes) * 8))) if slopes else None


def carried_rate(sample: BulkSample) -> Rate | None:
    """Bytes over time of the whole train as it was read: the machine carried at least so much."""
    if len(sample.ends) < 2 or sample.ends[1][0] <= sample.ends[0][0]:
        return None
    (start, first), (end, last) = sample.ends
    return Rate(max(8, round((last - first) * 8 / (end - start))))


def sent_rate(sample: BulkSample) -> Rate | None:
    """How fast the sender handed the train to the kernel; None where that took no time."""
    return Rate(max(8, round(sample.sent_bytes * 8 / sample.sent_s))) if sample.sent_s > 0 else None


CONFIDENCE: Final = 0.99


def shared_confidence(rows: int, confidence: float = CONFIDENCE) -> float:
    """The confidence that each of so many rows needs for all of them together to have the given one (Sidak 1967).

    Without it, one row in a hundred is off by chance alone: a ring of 16 nodes would fail one time in four.
    """
    return float(confidence ** (1 / max(1, rows)))


def binomial_interval(share: float, trials: int, confidence: float, inflation: float = 1.0) -> tuple[float, float]:
    """The shares that a sample may show without contradicting the true one.

    A count is inside where both tails that begin at it have a probability over (1 - confidence) / 2, that is, where the
    Clopper-Pearson interval of the count (Biometrika 26, 1934) contains the true share.

    Args:
        share: the true one.
        trials: size of the sample.
        confidence: e.g. 0.99.
        inflation: how many trials are worth one independent trial.
    """
    size = max(1, floor(trials / inflation))
    if share in (0, 1):
        return share, share
    tail = (1 - confidence) / 2
    low = _quantile(share, size, tail)
    high = size - _quantile(1 - share, size, tail)
    half = 0.5 if inflation > 1 else 0.0
    return max(0.0, (low - half) / size), min(1.0, (high + half) / size)


def _quantile(share: float, size: int, tail: float) -> int:
    """The least count whose cumulative binomial probability is over the tail."""
    mean, deviation = size * share, sqrt(size * share * (1 - share))
    count = max(0, floor(mean - 12 * deviation - 10))
    chance = exp(
        lgamma(size + 1)
        - lgamma(count + 1)
        - lgamma(size - count + 1)
        + count * log(share)
        + (size - count) * log1p(-share)
    )
    total, odds = chance, share / (1 - share)
    while total <= tail and count < size:
        chance *= (size - count) / (count + 1) * odds
        count += 1
        total += chance
    return count


def loss_inflation(shape: LinkShape) -> float:
    """How many packets with this loss give as much information as one packet with independent losses.

    It is the ratio of the variances of the number lost, 1 + 2 * (sum of the autocorrelations over all lags) for a long
    train (Bartlett 1946). In a Gilbert-Elliott chain with state correlation c = 1 - p - r, loss rates b and g in the
    bad and the good state, share B of the bad state and mean loss m, the autocorrelation at lag k is
    (b - g)^2 B (1 - B) c^k / (m (1 - m)). For b = 1 and g = 0 that is c^k, and the result (1 + c) / (1 - c). Never
    under 1.
    """
    chain = shape.loss_chain
    if chain is None or not 0 < chain.mean_loss < 1:
        return 1.0
    contrast = float(chain.loss_bad) - float(chain.loss_good)
    share = contrast**2 * chain.bad_share * (1 - chain.bad_share) / (chain.mean_loss * (1 - chain.mean_loss))
    return max(1.0, 1 + 2 * share * chain.correlation / (1 - chain.correlation))
