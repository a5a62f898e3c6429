"""What the links and connections of a run show about the network: round trips, use, queues, losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Final

from harness.experiment.report.load.records import LinkSample, RecordedRun
from harness.model.plan import NetworkPlan, Pair

_USED: Final = 0.1
"""Share of the busiest edge's bytes from which an edge counts as used: gloo's ring leaves the others nearly idle."""


@dataclass(frozen=True)
class EdgeLoad:
    """One directed edge while steps were done.

    Args:
        pair: it.
        bytes: that it carried, frame headers included.
        packets: that it carried.
        dropped: packets.
        seconds: between the samples.
        rate: in bit/s; None: without limit, or not known.
        loss: share of packets that it was to lose; None: not known.
        waiting: seconds that a packet waited in its queue for the rate, mean over the samples.
    """

    pair: Pair
    bytes: int
    packets: int
    dropped: int
    seconds: float
    rate: float | None
    loss: float | None
    waiting: float

    @property
    def use(self) -> float | None:
        """Share of its rate that it carried; None without a rate."""
        return None if self.rate is None or not self.seconds else self.bytes * 8 / self.rate / self.seconds

    @property
    def bit_s(self) -> float:
        """What it carried, in bit/s."""
        return self.bytes * 8 / self.seconds if self.seconds else 0.0


def edge_loads(run: RecordedRun, since: float, until: float) -> tuple[EdgeLoad, ...]:
    """The used edges between two times, the one that carried most first; empty without two samples.

    Args:
        run: the run.
        since, until: seconds since the epoch; a sample just outside closes a range at either end.
    """
    intervals = _within(run.links, since, until)
    pairs = {pair for _, later in intervals for pair in later.edges}
    loads = sorted((_load(pair, intervals, run.plan) for pair in pairs), key=lambda load: -load.bytes)
    return tuple(load for load in loads if load.bytes and load.bytes >= _USED * loads[0].bytes)


def base_round_trip(plan: NetworkPlan, pair: Pair) -> float:
    """Seconds from one rank to another and back over links that are idle."""
    src, dst = pair
    return sum(edge.shape.delay.seconds for edge in (*plan.path(src, dst), *plan.path(dst, src)))


def talking_pairs(run: RecordedRun, loads: Sequence[EdgeLoad]) -> tuple[Pair, ...]:
    """The ranks that sent each other most: by their connections, else by the used edges."""
    acked: dict[Pair, int] = {}
    for flow in run.flows:
        if flow.samples:
            acked[flow.src, flow.dst] = acked.get((flow.src, flow.dst), 0) + flow.samples[-1].acked_bytes
    most = max(acked.values(), default=0)
    return tuple(pair for pair, size in acked.items() if size and size >= _USED * most) or tuple(
        load.pair for load in loads
    )


def measured_round_trip(run: RecordedRun, pair: Pair, since: float, until: float) -> float | None:
    """The median of what TCP measured from one rank to another, in seconds; None where nothing was recorded."""
    found = [
        sample.rtt
        for flow in run.flows
        if (flow.src, flow.dst) == pair
        for sample in flow.samples
        if since <= sample.time <= until and sample.rtt > 0
    ]
    return median(found) if found else None


def _within(samples: Sequence[LinkSample], since: float, until: float) -> list[tuple[LinkSample, LinkSample]]:
    """Pairs of consecutive samples of one attempt that overlap a range."""
    return [
        (earlier, later)
        for earlier, later in pairwise(samples)
        if earlier.attempt == later.attempt and later.time > since and earlier.time < until
    ]


def _load(pair: Pair, intervals: Sequence[tuple[LinkSample, LinkSample]], plan: NetworkPlan | None) -> EdgeLoad:
    shape = plan.edges[pair].shape if plan and pair in plan.edges else None
    sent, packets, dropped, seconds, waiting = 0, 0, 0, 0.0, list[float]()
    for earlier, later in intervals:
        before, now = earlier.edges.get(pair), later.edges.get(pair)
        if before is None or now is None or now.sent_bytes < before.sent_bytes:
            continue
        sent += now.sent_bytes - before.sent_bytes
        packets += now.sent_packets - before.sent_packets
        dropped += max(0, now.dropped - before.dropped)
        seconds += later.time - earlier.time
        waiting.append(shape.waiting_seconds(now.backlog_bytes) if shape else 0.0)
    return EdgeLoad(
        pair=pair,
        bytes=sent,
        packets=packets,
        dropped=dropped,
        seconds=seconds,
        rate=float(shape.rate.bit_s) if shape and shape.rate else None,
        loss=shape.mean_loss if shape else None,
        waiting=fmean(waiting) if waiting else 0.0,
    )
