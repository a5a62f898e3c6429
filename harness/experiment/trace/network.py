"""The events of the network: counters of directed edges and TCP connections, changes, cross traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from harness.experiment.report.load.network_records import (
    EdgeCount,
    FlowRecord,
    FlowSample,
    LinkSample,
    LoadSample,
    RecordedChange,
    RecordedLoad,
)
from harness.experiment.trace.events import Event, Instant, Track, Value, arguments

LINKS: Final = "links"
FLOWS: Final = "flows"
LINK: Final = "link "
CHANGED: Final = (LINK, "node ", "trunk ")
"""The beginnings of the names of changes."""
_NAMED: Final = 2
"""Changed links in the name of an instant; its arguments have all."""
_OF_FLOW: Final[tuple[tuple[str, str, Callable[[FlowSample], float]], ...]] = (
    ("cwnd", "segments", lambda one: one.cwnd),
    ("RTT", "ms", lambda one: round(one.rtt * 1e3, 3)),
    ("delivery rate", "Mbit/s", lambda one: round(one.delivery_rate / 1e6, 6)),
    ("retransmits", "segments", lambda one: one.retransmits),
)


def link_events(samples: Sequence[LinkSample]) -> Iterator[Value]:
    """Rate, backlog and drops of each edge and shared capacity; a value that stays the same is written once.

    A rate begins at the sample before, so that its area is the bytes sent.
    """
    for edge in sorted({edge for sample in samples for edge in sample.edges}):
        counts = [(one.attempt, one.time, one.edges[edge]) for one in samples if edge in one.edges]
        yield from _changed(_values(f"{edge[0]}→{edge[1]}", counts))
    for cap in sorted({name for sample in samples for name in sample.caps}):
        counts = [(one.attempt, one.time, one.caps[cap]) for one in samples if cap in one.caps]
        yield from _changed(_values(cap.replace("->", "→"), counts))


def _values(name: str, counts: Iterable[tuple[int, float, EdgeCount]]) -> Iterator[Value]:
    rate = Track(LINKS, f"{name} rate", "Mbit/s")
    backlog, drops = Track(LINKS, f"{name} backlog", "B"), Track(LINKS, f"{name} drops", "packets")
    since: tuple[int, float, EdgeCount] | None = None
    for now in counts:
        yield Value(backlog, now[1], now[2].backlog_bytes)
        yield Value(drops, now[1], now[2].dropped)
        if since is None or now[1] > since[1]:
            if since is not None:
                yield Value(rate, since[1], _rate(since, now))
            since = now
    if since is not None:
        yield Value(rate, since[1], 0)


def _rate(before: tuple[int, float, EdgeCount], now: tuple[int, float, EdgeCount]) -> float:
    """Mbit/s between two counts, rounded to a bit/s; 0 where another attempt, with new counters, began between them."""
    sent = now[2].sent_bytes - before[2].sent_bytes
    return round(sent * 8e-6 / (now[1] - before[1]), 6) if now[0] == before[0] and sent >= 0 else 0.0


def flow_events(flow: FlowRecord) -> Iterator[Value]:
    """Congestion window, round trip, delivery rate and retransmits of one direction of a connection."""
    edge, ports = f"{flow.src}→{flow.dst}", f"{flow.src_port}→{flow.dst_port}"
    if flow.attempt > 1:
        ports += f" attempt {flow.attempt}"
    for what, unit, value_of in _OF_FLOW:
        track = Track(FLOWS, f"{edge} {what} {ports}", unit)  # the middle of a long name is not shown
        values = [Value(track, one.time, value_of(one)) for one in flow.samples]
        if values and flow.ended is not None and what != "retransmits":
            values.append(Value(track, flow.ended, 0))
        yield from _changed(values)


def load_events(loads: Sequence[RecordedLoad]) -> Iterator[Value]:
    """The rate at which each load of cross traffic arrived."""
    for number, load in enumerate(loads, 1):
        track = Track(LINKS, f"{load.src}→{load.dst} cross traffic {number}", "Mbit/s")
        values = [Value(track, since.time, _load_rate(since, until)) for since, until in pairwise(load.samples)]
        yield from _changed([*values, Value(track, load.samples[-1].time, 0)])


def _load_rate(since: LoadSample, until: LoadSample) -> float:
    seconds = until.time - since.time
    return round((until.received_bytes - since.received_bytes) * 8e-6 / seconds, 6) if seconds > 0 else 0.0


def load_marks(track: Track, load: RecordedLoad) -> Iterator[Event]:
    """The beginning and the end of a load of cross traffic."""
    name = f"cross traffic {load.src}→{load.dst}"
    yield Instant(track, f"{name}: {load.what}", load.began, arguments(rate_bit_s=load.bit_s))
    if load.ended is not None:
        yield Instant(track, f"{name} ends", load.ended, arguments(lost_packets=load.samples[-1].lost_packets))


def _changed(values: Iterable[Value]) -> Iterator[Value]:
    """The values that differ from the one before of their track."""
    last: dict[Track, float] = {}
    for one in values:
        if last.get(one.track) != one.value:
            last[one.track] = one.value
            yield one


def change_event(track: Track, change: RecordedChange) -> Event:
    """``link 0-1: delay 20 ms → delay 120 ms``, when every node had read back its new settings."""
    texts = [*_links(change.edges), *change.limits]
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    args = arguments(changed="; ".join(texts), seconds=change.acknowledged - change.asked)
    return Instant(track, f"{LINK if change.edges else ''}{'; '.join(texts[:_NAMED])}{more}", change.acknowledged, args)


def _links(edges: Sequence[str]) -> list[str]:
    """The changes, with both directions as one where they are the same: ``0-1: ...`` for ``0→1`` and ``1→0``."""
    changed = dict(text.partition(": ")[::2] for text in edges)
    found = []
    for edge, text in changed.items():
        src, _, dst = edge.partition("→")
        if changed.get(f"{dst}→{src}") != text:
            found.append(f"{edge}: {text}")
        elif int(src) < int(dst):
            found.append(f"{src}-{dst}: {text}")
    return found
