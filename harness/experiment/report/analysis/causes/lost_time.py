"""The seconds that a run's steps took beyond computing alone, by cause.

The split begins with the most certain cause:

* *straggler*: how long the others waited for the rank that computed longest (waits.py);
* *rate*: what the training's bytes take at the rate of the edge, uplink, downlink or trunk that is busy longest;
* *loss*, where links are configured to lose packets, else *queue*: dropped packets. They keep TCP's windows small, so
  that the bytes take longer than at the rate (harness.model.tcp), and make single steps stand still until TCP has sent
  again: what steps waited longer than the best tenth, at most RTO_MIN and a round trip per retransmit;
* *queue*: of what is left, the share that waiting in queues has of a round trip;
* *latency*: the rest, at most as many round trips as gloo's rounds can take;
* *unknown* is what remains: software, the machine, and ranks that were slow in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.experiment.report.analysis.causes.advice import Cause
from harness.experiment.report.analysis.causes.cap_loads import cap_loads
from harness.experiment.report.analysis.causes.edge_loads import CarriedLoad, EdgeLoad, edge_loads, retransmits
from harness.experiment.report.analysis.causes.paths import TalkingPair, own_share, talking_pairs
from harness.experiment.report.analysis.causes.waits import Waits
from harness.experiment.report.load.records import RecordedRun

RTO_MIN: Final = 0.2
"""Seconds, beyond a round trip, until Linux retransmits what was not acknowledged (TCP_RTO_MIN)."""
SHORT_TRIP: Final = 0.001
"""Seconds: shorter round trips are less than what software takes (0.2 to 1 ms per message here)."""
_TRIPS_PER_HOP: Final = 3
"""The most round trips of a hop of gloo's ring: 1.5 (measured: 2.5 to 3 one-way delays), and TCP's slow start."""


@dataclass(frozen=True)
class StepNetwork:
    """The network during the steps.

    Args:
        loads: of the used edges.
        pairs: ranks that talk to each other.
        own: share of the sent bytes that is the training's own.
        retransmits: segments that TCP sent again.
        payload: bytes that a rank sent in all steps; None: unknown.
        hops: of a collective in gloo's ring.
        caps: loads of shared capacities.
    """

    loads: tuple[EdgeLoad, ...]
    pairs: Sequence[TalkingPair]
    own: float
    retransmits: int
    payload: float | None
    hops: int
    caps: tuple[CarriedLoad, ...] = ()

    @classmethod
    def of(cls, run: RecordedRun, found: Waits, payload: float | None = None) -> StepNetwork:
        """The network by a run's records of that time; ``payload``: used where no strategy states its own."""
        loads = edge_loads(run, found.begun, found.ended)
        per_step = [rank.bytes_per_step for rank in run.ranks if rank.bytes_per_step is not None]
        return cls(
            loads,
            talking_pairs(run, loads, found.begun, found.ended),
            own_share(run),
            retransmits(run, found.begun, found.ended),
            max(per_step) * found.steps if per_step else payload,
            max(1, 2 * (run.nodes - 1)),
            cap_loads(run, found.begun, found.ended),
        )

    @property
    def busiest(self) -> CarriedLoad | None:
        """The edge or shared capacity whose bytes take longest."""
        limited: tuple[CarriedLoad, ...] = (*(load for load in self.loads if load.rate), *self.caps)
        return max(limited, key=lambda load: load.full_seconds, default=None)

    @property
    def farthest(self) -> TalkingPair | None:
        """The pair with the longest round trip."""
        return max((pair for pair in self.pairs if pair.base is not None), key=lambda p: p.base or 0.0, default=None)

    @property
    def trip(self) -> float | None:
        """Seconds of the longest round trip, with empty queues; None: unknown."""
        return self.farthest.base if self.farthest else None

    @property
    def queued(self) -> TalkingPair | None:
        """The pair whose packets wait longest in queues."""
        return max(self.pairs, key=lambda pair: pair.waiting, default=None)

    @property
    def waits_in_queue(self) -> bool:
        """Whether packets wait longer in a queue than a round trip takes; if not, queues cost time by drops."""
        return self.queued is not None and self.queued.waiting > (self.trip or 0.0)

    @property
    def tightest(self) -> TalkingPair | None:
        """The pair that losses or drops slow most; None where every pair can use the rate."""
        held = [pair for pair in self.pairs if pair.ceiling is not None]
        return min(held, key=lambda pair: pair.ceiling or 0.0, default=None)

    @property
    def lossiest(self) -> TalkingPair | None:
        """The pair that configured losses slow most; None where no link is configured to lose packets."""
        losing = (pair for pair in self.pairs if pair.loss > 0)
        return min(losing, key=lambda pair: (pair.ceiling is None, pair.ceiling, -pair.loss), default=None)


def lost_time(run: RecordedRun, found: Waits, network: StepNetwork) -> dict[Cause, float]:
    """Seconds by cause, without zeros; their sum is what steps took beyond the median rank's computing."""
    busiest, trip = network.busiest, network.trip
    rate = min(found.network, busiest.full_seconds * network.own) if busiest else 0.0
    drops = _drops(found, network, rate)
    rest = found.network - rate - drops
    waiting = network.queued.waiting if network.queued else 0.0
    queue = rest * waiting / (waiting + (trip or 0.0)) if waiting else 0.0
    latency = _latency(run, network, trip, rest - queue)
    drops_of: Cause = "loss" if network.lossiest else "queue"
    lost: dict[Cause, float]
    lost = {"straggler": found.straggler, "rate": rate, "loss": 0.0, "queue": queue, "latency": latency}
    lost[drops_of] += drops
    lost["unknown"] = max(0.0, found.seconds - found.compute - sum(lost.values()))
    return {cause: seconds for cause, seconds in lost.items() if seconds > 0}


def _drops(found: Waits, network: StepNetwork, rate: float) -> float:
    """Seconds that lost packets cost: by small windows in all steps, and by stand-stills in some."""
    small_windows = _small_windows(found, network, rate)
    stalls = network.retransmits * (RTO_MIN + (network.trip or 0.0))
    if found.floor is None:
        return min(small_windows + stalls, found.network - rate)
    floor = max(rate, found.floor)
    return min(small_windows, floor - rate) + min(stalls, max(0.0, found.network - floor))


def _small_windows(found: Waits, network: StepNetwork, rate: float) -> float:
    """Seconds of the round trips, after the first, of a hop's block, where losses keep windows small."""
    tightest, talks = network.tightest, len(found.talking)
    if not tightest or not network.payload or not talks:
        return 0.0
    blocks = talks * network.hops
    trips = network.payload / blocks / tightest.window - 1 if tightest.window else 0.0
    return max(0.0, blocks * trips * tightest.trip - rate)


def _latency(run: RecordedRun, network: StepNetwork, trip: float | None, rest: float) -> float:
    """Seconds of round trips: 0 where they are short, and at most what the counted collectives can take."""
    if trip is None or trip < SHORT_TRIP:
        return 0.0
    counts = [sum(ops.count for one in rank.collectives for ops in one.ops.values()) for rank in run.ranks]
    most = max(counts, default=0) * network.hops * _TRIPS_PER_HOP * trip
    return min(rest, most) if most else rest
