"""Counters of links -> what happened over time: rates, drops, backlog, retransmits."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from harness.plan import NetworkPlan, Pair
from harness.report.experiment.records import LinkSample, Run

_EVERY: Final = 0.05
"""Seconds: two samples closer than this give no rate worth showing."""


@dataclass(frozen=True)
class EdgeMoment:
    """One directed edge between two samples.

    Args:
        seconds: since the first step began; at the later sample.
        edge: it.
        bit_s: what it sent, frame headers included.
        dropped: packets per second that it lost, by chance or for want of room.
        backlog_bytes: what waited at the later sample, packets in flight on the link included.
    """

    seconds: float
    edge: Pair
    bit_s: float
    dropped: float
    backlog_bytes: int


@dataclass(frozen=True)
class TcpMoment:
    """One rank between two samples: segments per second that TCP sent again."""

    seconds: float
    rank: int
    retransmitted: float


@dataclass(frozen=True)
class LinkUse:
    """A run's links over its whole time.

    Args:
        busiest: the edge that was used most of its rate; None where no edge has a rate.
        busiest_share: sent / (rate x time) of that edge while steps were done, by the rate that it had at the start.
        dropped: packets, on all edges.
        sent_packets: on all edges.
        retransmitted: TCP segments that were sent again, of all ranks; None where nobody counted.
        segments: that TCP sent, of all ranks.
    """

    busiest: Pair | None
    busiest_share: float | None
    dropped: int
    sent_packets: int
    retransmitted: int | None
    segments: int | None


def began(run: Run) -> float | None:
    """When the first step began, as a time; None where there was none. Elapsed times count from here."""
    firsts = [rank.steps[0].time - rank.steps[0].elapsed for rank in run.ranks if rank.steps]
    return min(firsts, default=None)


def origin(run: Run) -> float:
    """Zero of a run's timeline: the first step's beginning, or the first sample where nothing was stepped."""
    first = began(run)
    if first is not None:
        return first
    return run.links[0].time if run.links else 0.0


def edge_moments(run: Run) -> list[EdgeMoment]:
    """Per edge and interval between samples of one attempt. Counters that went back make a gap, too."""
    zero = origin(run)
    moments = []
    for earlier, later in _intervals(run.links):
        seconds = later.time - earlier.time
        for edge, now in later.edges.items():
            before = earlier.edges.get(edge)
            if before is None or now.sent_bytes < before.sent_bytes or now.dropped < before.dropped:
                continue
            moments.append(
                EdgeMoment(
                    seconds=later.time - zero,
                    edge=edge,
                    bit_s=(now.sent_bytes - before.sent_bytes) * 8 / seconds,
                    dropped=(now.dropped - before.dropped) / seconds,
                    backlog_bytes=now.backlog_bytes,
                )
            )
    return moments


def tcp_moments(run: Run) -> list[TcpMoment]:
    """Per rank and interval between samples."""
    zero = origin(run)
    moments = []
    for earlier, later in _intervals(run.links):
        for rank, (_, now) in later.tcp.items():
            before = earlier.tcp.get(rank, (0, now + 1))[1]
            if now >= before:
                moments.append(TcpMoment(later.time - zero, rank, (now - before) / (later.time - earlier.time)))
    return moments


def link_use(run: Run) -> LinkUse | None:
    """Sums over the run; None where nothing was sampled twice."""
    pairs = _intervals(run.links)
    if not pairs:
        return None
    sent: dict[Pair, int] = {}
    seconds, dropped, packets, again, segments = 0.0, 0, 0, 0, 0
    counted = any(sample.tcp for sample in run.links)
    begun = _begun(run)
    for earlier, later in pairs:
        trains = begun is None or later.time >= begun.get(later.attempt, math.inf)
        seconds += (later.time - earlier.time) * trains
        for edge, now in later.edges.items():
            before = earlier.edges.get(edge)
            if before is not None and now.sent_bytes >= before.sent_bytes:
                sent[edge] = sent.get(edge, 0) + (now.sent_bytes - before.sent_bytes) * trains
                dropped += max(0, now.dropped - before.dropped)
                packets += max(0, now.sent_packets - before.sent_packets)
        for rank, (all_now, again_now) in later.tcp.items():
            if rank in earlier.tcp and all_now >= earlier.tcp[rank][0]:
                segments += all_now - earlier.tcp[rank][0]
                again += max(0, again_now - earlier.tcp[rank][1])
    busiest, share = _busiest(sent, run.plan, seconds)
    return LinkUse(busiest, share, dropped, packets, again if counted else None, segments if counted else None)


def _busiest(sent: dict[Pair, int], plan: NetworkPlan | None, seconds: float) -> tuple[Pair | None, float | None]:
    rates = {pair: edge.shape.rate for pair, edge in plan.edges.items()} if plan else {}
    if not seconds:
        return None, None
    shares = {
        edge: total * 8 / seconds / rate.bit_s for edge, total in sent.items() if (rate := rates.get(edge)) is not None
    }
    if not shares:
        return None, None
    edge = max(shares, key=shares.__getitem__)
    return edge, shares[edge]


def _begun(run: Run) -> dict[int, float] | None:
    """When the first step of each attempt began, of those attempts of which steps hold; None where no step was done."""
    starts = sorted(step.time - step.seconds for rank in run.ranks for step in rank.steps)
    if not starts:
        return None
    first: dict[int, float] = {}
    for sample in run.links:
        first.setdefault(sample.attempt, sample.time)
    ends = [*first.values(), math.inf][1:]
    begun = {}
    for place, ((attempt, since), until) in enumerate(zip(first.items(), ends, strict=True)):
        at = bisect_left(starts, since if place else -math.inf)
        if at < len(starts) and starts[at] < until:
            begun[attempt] = starts[at]
    return begun


def _intervals(samples: tuple[LinkSample, ...]) -> list[tuple[LinkSample, LinkSample]]:
    """Samples with the next one of the same attempt that is far enough away."""
    kept: list[LinkSample] = []
    for sample in samples:
        if not kept or sample.attempt != kept[-1].attempt or sample.time - kept[-1].time >= _EVERY:
            kept.append(sample)
    return [(earlier, later) for earlier, later in pairwise(kept) if earlier.attempt == later.attempt]
