"""What edges carried between two times, from their counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from harness.experiment.report.load.network_records import LinkSample
from harness.experiment.report.load.records import RecordedRun
from harness.model.link import Pair
from harness.model.plan import NetworkPlan

USED: Final = 0.1
"""Share of the busiest edge's bytes from which an edge counts as used: gloo's ring leaves other edges nearly idle."""


@dataclass(frozen=True)
class CarriedLoad:
    """What an edge or a shared capacity carried between two times.

    Args:
        bytes: headers included.
        seconds: between the samples, or between the two times where these are closer.
        rate: its limit, in bit/s; None: without limit, or unknown.
        name: ``0->1``, ``the uplink of node 0``.
    """

    bytes: int
    seconds: float
    rate: float | None
    name: str

    @property
    def full_seconds(self) -> float:
        """Seconds that the bytes take at the rate; 0 without a rate."""
        return 0.0 if self.rate is None else self.bytes * 8 / self.rate

    @property
    def use(self) -> float | None:
        """Share of the rate that was used; None without a rate."""
        return None if self.rate is None or not self.seconds else self.full_seconds / self.seconds

    @property
    def bit_s(self) -> float:
        """What was carried, in bit/s."""
        return self.bytes * 8 / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class EdgeLoad(CarriedLoad):
    """One directed edge.

    Args:
        pair: its ranks.
        packets: that it carried.
        dropped: packets, by chance or by a full queue.
        waiting: seconds that a packet waited in its queue, mean over the samples.
    """

    pair: Pair
    packets: int
    dropped: int
    waiting: float

    @property
    def drop_share(self) -> float:
        """Share of packets that were dropped."""
        return self.dropped / (self.packets + self.dropped) if self.dropped else 0.0


def edge_loads(run: RecordedRun, since: float, until: float) -> tuple[EdgeLoad, ...]:
    """The used edges between two times, in seconds since the epoch, the busiest first; empty without two samples.

    The samples just before and just after count too.
    """
    spans = spans_between(run.links, since, until)
    sent = {pair: sum(_grown(span, pair, "sent_bytes") for span in spans) for span in spans for pair in span[-1].edges}
    most = max(sent.values(), default=0)
    used = sorted((pair for pair in sent if sent[pair] and sent[pair] >= USED * most), key=lambda pair: -sent[pair])
    return tuple(_load(pair, spans, run.plan, until - since) for pair in used)


def retransmits(run: RecordedRun, since: float, until: float) -> int:
    """Segments that TCP of all nodes retransmitted between two times."""
    return sum(
        max(0, again - span[0].tcp[rank][1])
        for span in spans_between(run.links, since, until)
        for rank, (_, again) in span[-1].tcp.items()
        if rank in span[0].tcp
    )


def spans_between(samples: Sequence[LinkSample], since: float, until: float) -> list[list[LinkSample]]:
    """The samples of each attempt in a range, with the one before and the one after; at least two."""
    by_attempt: dict[int, list[LinkSample]] = defaultdict(list)
    for sample in samples:
        of_attempt = by_attempt[sample.attempt]
        if sample.time <= since:
            of_attempt.clear()
        if not of_attempt or of_attempt[-1].time < until:
            of_attempt.append(sample)
    return [span for span in by_attempt.values() if len(span) > 1]


def _grown(span: Sequence[LinkSample], pair: Pair, counter: str) -> int:
    """How much a counter of an edge grew; 0 where the first sample lacks the edge, or the counter was reset."""
    first, last = span[0].edges.get(pair), span[-1].edges.get(pair)
    return max(0, getattr(last, counter) - getattr(first, counter)) if first and last else 0


def _load(pair: Pair, spans: Sequence[Sequence[LinkSample]], plan: NetworkPlan | None, most: float) -> EdgeLoad:
    shape = plan.edges[pair].shape if plan and pair in plan.edges else None
    backlogs = [sample.edges[pair].backlog_bytes for span in spans for sample in span[1:] if pair in sample.edges]
    return EdgeLoad(
        name=f"{pair[0]}->{pair[1]}",
        pair=pair,
        bytes=sum(_grown(span, pair, "sent_bytes") for span in spans),
        packets=sum(_grown(span, pair, "sent_packets") for span in spans),
        dropped=sum(_grown(span, pair, "dropped") for span in spans),
        seconds=min(sum(span[-1].time - span[0].time for span in spans), most),
        rate=float(shape.rate.bit_s) if shape and shape.rate else None,
        waiting=fmean(map(shape.waiting_seconds, backlogs)) if shape and backlogs else 0.0,
    )
