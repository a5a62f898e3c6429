"""What the edges of a run carried between two times, from the counters of its links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final

from harness.experiment.report.load.records import LinkSample, RecordedRun
from harness.model.plan import NetworkPlan, Pair

USED: Final = 0.1
"""Share of the busiest edge's bytes from which an edge counts as used: gloo's ring leaves the others nearly idle."""


@dataclass(frozen=True)
class EdgeLoad:
    """One directed edge between two times.

    Args:
        pair: it.
        bytes: that it carried, frame headers included.
        packets: that it carried.
        dropped: packets, by chance or for want of room.
        seconds: between the samples, or between the two times where these are closer.
        rate: in bit/s; None: without limit, or not known.
        waiting: seconds that a packet waited in its queue for the rate, mean over the samples.
    """

    pair: Pair
    bytes: int
    packets: int
    dropped: int
    seconds: float
    rate: float | None
    waiting: float

    @property
    def name(self) -> str:
        """``0->1``."""
        return f"{self.pair[0]}->{self.pair[1]}"

    @property
    def full_seconds(self) -> float:
        """How long it takes to send so much at its rate; 0 without a rate."""
        return 0.0 if self.rate is None else self.bytes * 8 / self.rate

    @property
    def use(self) -> float | None:
        """Share of its rate that it carried; None without a rate."""
        return None if self.rate is None or not self.seconds else self.full_seconds / self.seconds

    @property
    def bit_s(self) -> float:
        """What it carried, in bit/s."""
        return self.bytes * 8 / self.seconds if self.seconds else 0.0

    @property
    def drop_share(self) -> float:
        """Share of its packets that it dropped."""
        return self.dropped / (self.packets + self.dropped) if self.dropped else 0.0


def edge_loads(run: RecordedRun, since: float, until: float) -> tuple[EdgeLoad, ...]:
    """The used edges between two times, the one that carried most first; empty without two samples.

    Args:
        run: the run.
        since, until: seconds since the epoch; a sample just outside closes the range at either end.
    """
    intervals = sample_intervals(run.links, since, until)
    pairs = {pair for _, later in intervals for pair in later.edges}
    loads = sorted((_load(pair, intervals, run.plan, until - since) for pair in pairs), key=lambda load: -load.bytes)
    return tuple(load for load in loads if load.bytes and load.bytes >= USED * loads[0].bytes)


def retransmits(run: RecordedRun, since: float, until: float) -> int:
    """Segments that TCP of all nodes sent again between two times."""
    return sum(
        max(0, again - earlier.tcp[rank][1])
        for earlier, later in sample_intervals(run.links, since, until)
        for rank, (_, again) in later.tcp.items()
        if rank in earlier.tcp
    )


def sample_intervals(samples: Sequence[LinkSample], since: float, until: float) -> list[tuple[LinkSample, LinkSample]]:
    """Pairs of consecutive samples of one attempt that overlap a range."""
    return [
        (earlier, later)
        for earlier, later in pairwise(samples)
        if earlier.attempt == later.attempt and later.time > since and earlier.time < until
    ]


def _load(
    pair: Pair, intervals: Sequence[tuple[LinkSample, LinkSample]], plan: NetworkPlan | None, most: float
) -> EdgeLoad:
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
        seconds=min(seconds, most),
        rate=float(shape.rate.bit_s) if shape and shape.rate else None,
        waiting=fmean(waiting) if waiting else 0.0,
    )
