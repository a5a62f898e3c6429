"""Rates, drops, backlog and retransmits over time, from the counters of links."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from harness.experiment.report.analysis.curves import origin
from harness.experiment.report.load.network_records import EdgeCount, LinkSample, RecordedChange
from harness.experiment.report.load.records import RecordedRun
from harness.model.link import Pair
from harness.model.plan import NetworkPlan

WINDOW: Final = 0.95
"""Seconds of a window: a bit less than a second, since samples once a second are not exactly a second apart."""
_EVERY: Final = 0.05
"""Seconds: samples closer than this give no useful rate."""
K = TypeVar("K")


@dataclass(frozen=True)
class Moment(Generic[K]):
    """One directed edge, or a shared capacity, in a window between two samples.

    Args:
        attempt: of the run.
        seconds: of training, since the first step began; at the later sample.
        duration: of the window, in seconds.
        edge: by its ranks; a capacity by its name.
        bit_s: sent, frame headers included.
        packet_s: packets sent per second.
        dropped: packets per second that were lost, by chance or by a full queue.
        backlog_bytes: the most at any sample of the window but the first, packets in flight on the link included.
    """

    attempt: int
    seconds: float
    duration: float
    edge: K
    bit_s: float
    packet_s: float
    dropped: float
    backlog_bytes: int


EdgeMoment: TypeAlias = Moment[Pair]
CapMoment: TypeAlias = Moment[str]


@dataclass(frozen=True)
class TcpMoment:
    """One rank in a window between two samples: TCP's retransmitted segments per second."""

    attempt: int
    seconds: float
    rank: int
    retransmitted: float


@dataclass(frozen=True)
class ChangeMoment:
    """A reshape, its attempt, and its seconds of training; None if no step of the attempt counts."""

    attempt: int
    seconds: float | None
    change: RecordedChange


@dataclass(frozen=True)
class LinkUse:
    """Totals of a run's links.

    Args:
        busiest: the edge with the largest share of its rate; None where no edge has a rate.
        busiest_share: sent / (rate x time) of that edge during steps, by its rate at the start.
        dropped: packets, on all edges.
        sent_packets: on all edges.
        retransmitted: TCP segments, of all ranks; None: not recorded.
        segments: that TCP of all ranks sent, retransmitted ones included, which the kernel counts separately.
    """

    busiest: Pair | None
    busiest_share: float | None
    dropped: int
    sent_packets: int
    retransmitted: int | None
    segments: int | None


def zeros(run: RecordedRun) -> dict[int, float]:
    """The time at which the clock of training would have been 0, had it never paused, by attempt.

    Attempts without a step that counts have none. If no attempt has one, each counts from its first sample.
    """
    if not any(rank.steps for rank in run.ranks):
        return _first_samples(run) | _own_zero(run)
    found = {}
    for attempt, since, until in _spans(run):
        firsts = []
        for rank in run.ranks:
            at = bisect_left(rank.steps, since, key=lambda step: step.time)
            firsts += [step.time - step.elapsed for step in rank.steps[at : at + 1] if step.time < until]
        if firsts:
            found[attempt] = min(firsts)
    return found


def last_zero(run: RecordedRun) -> float:
    """The zero of the last attempt; without one, when the run began, or 0."""
    known = zeros(run)
    return known[max(known)] if known else origin(run) or 0.0


def _own_zero(run: RecordedRun) -> dict[int, float]:
    """The zero of the last attempt of a script that logs; empty for other runs."""
    began = origin(run) if any(rank.logs for rank in run.ranks) else None
    return {} if began is None else {run.links[-1].attempt if run.links else 1: began}


def edge_moments(run: RecordedRun, window: float = WINDOW) -> list[EdgeMoment]:
    """The moments per edge and window between samples of one attempt. Counters that decrease make a gap.

    ``window``: the least seconds of a window but the last one; 0: from sample to sample.
    """
    return _of_run(run, window, lambda sample: sample.edges)


def cap_moments(run: RecordedRun, window: float = WINDOW) -> list[CapMoment]:
    """The moments of shared capacities, as edge_moments."""
    return _of_run(run, window, lambda sample: sample.caps)


def _of_run(run: RecordedRun, window: float, counts: Callable[[LinkSample], Mapping[K, EdgeCount]]) -> list[Moment[K]]:
    zero = zeros(run)
    moments = []
    for attempt, samples in _by_attempt(run.links).items():
        if attempt in zero:
            moments += list(_moments(samples, zero[attempt], window, counts))
    return moments


def _moments(
    samples: Sequence[LinkSample], zero: float, window: float, counts: Callable[[LinkSample], Mapping[K, EdgeCount]]
) -> Iterator[Moment[K]]:
    """The moments of one attempt; where nodes sample on their own, not every sample has every edge."""
    last = {edge: sample.time for sample in samples for edge in counts(sample)}
    begun: dict[K, tuple[float, EdgeCount]] = {}
    most: dict[K, int] = {}
    for sample in samples:
        time = sample.time
        for edge, now in counts(sample).items():
            since, before = begun.get(edge) or (time, now)
            seconds = time - since
            most[edge] = max(most.get(edge, 0), now.backlog_bytes)
            if now.sent_bytes >= before.sent_bytes and now.dropped >= before.dropped and edge in begun:
                if seconds < _EVERY or (seconds < window and time < last[edge]):
                    continue
                yield Moment(
                    attempt=sample.attempt,
                    seconds=time - zero,
                    duration=seconds,
                    edge=edge,
                    bit_s=(now.sent_bytes - before.sent_bytes) * 8 / seconds,
                    packet_s=(now.sent_packets - before.sent_packets) / seconds,
                    dropped=(now.dropped - before.dropped) / seconds,
                    backlog_bytes=most[edge],
                )
            begun[edge], most[edge] = (time, now), 0


def tcp_moments(run: RecordedRun) -> list[TcpMoment]:
    """The moments per rank and window between samples of one attempt."""
    zero = zeros(run)
    moments = []
    for earlier, later in _intervals(run.links):
        if later.attempt not in zero:
            continue
        at = later.time - zero[later.attempt]
        for rank, (_, now) in later.tcp.items():
            before = earlier.tcp.get(rank, (0, now + 1))[1]
            if now >= before:
                again = (now - before) / (later.time - earlier.time)
                moments.append(TcpMoment(later.attempt, at, rank, again))
    return moments


def change_moments(run: RecordedRun) -> list[ChangeMoment]:
    """Every reshape, in the order of the file."""
    zero = zeros(run)
    moments = []
    for change in run.changes:
        at, attempt = change.acknowledged, attempt_at(run, change.acknowledged)
        moments.append(ChangeMoment(attempt, at - zero[attempt] if attempt in zero else None, change))
    return moments


def attempt_at(run: RecordedRun, time: float) -> int:
    """The attempt of the sample that is closest to a time, in seconds since the epoch."""
    nearest = min(run.links, key=lambda sample: abs(sample.time - time), default=None)
    return nearest.attempt if nearest else 1


def link_use(run: RecordedRun) -> LinkUse | None:
    """The totals of a run; None without two samples."""
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
        for rank, (first_now, again_now) in later.tcp.items():
            if rank in earlier.tcp and first_now >= earlier.tcp[rank][0]:
                resent = max(0, again_now - earlier.tcp[rank][1])
                segments += first_now - earlier.tcp[rank][0] + resent
                again += resent
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


def _begun(run: RecordedRun) -> dict[int, float] | None:
    """The start of the first step of each attempt with steps that count; None without any step."""
    starts = sorted(step.time - step.seconds for rank in run.ranks for step in rank.steps)
    if not starts:
        return None
    begun = {}
    for attempt, since, until in _spans(run):
        at = bisect_left(starts, since)
        if at < len(starts) and starts[at] < until:
            begun[attempt] = starts[at]
    return begun


def _spans(run: RecordedRun) -> list[tuple[int, float, float]]:
    """(attempt, start, end) of each attempt; a run without samples is one attempt."""
    first = _first_samples(run) or {1: 0.0}
    since = [-math.inf, *list(first.values())[1:]]
    return list(zip(first, since, [*since[1:], math.inf], strict=True))


def _first_samples(run: RecordedRun) -> dict[int, float]:
    """The time of each attempt's first sample."""
    return {attempt: samples[0].time for attempt, samples in _by_attempt(run.links).items()}


def _by_attempt(samples: Sequence[LinkSample]) -> dict[int, list[LinkSample]]:
    of_attempts: dict[int, list[LinkSample]] = defaultdict(list)
    for sample in samples:
        of_attempts[sample.attempt].append(sample)
    return of_attempts


def _intervals(samples: Sequence[LinkSample]) -> list[tuple[LinkSample, LinkSample]]:
    """Windows of each attempt, from sample to sample; the last window may be shorter than the others.

    Where nodes sample on their own, a sample is completed by the last values of each node.
    """
    found = []
    for attempt, of_attempt in _by_attempt(samples).items():
        last = of_attempt[0]
        edges, tcp = dict(last.edges), dict(last.tcp)
        for place, sample in enumerate(of_attempt[1:], 2):
            edges.update(sample.edges)
            tcp.update(sample.tcp)
            seconds = sample.time - last.time
            if seconds >= WINDOW or (seconds >= _EVERY and place == len(of_attempt)):
                whole = LinkSample(sample.time, dict(edges), dict(tcp), attempt)
                found.append((last, whole))
                last = whole
    return found
