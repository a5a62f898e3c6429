"""Reads links.jsonl, or links-R.jsonl of every node: the counters of links and shared capacities over time.

A line may leave out what has not changed since the last line of its attempt; it is filled in here.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from harness.experiment.report.load.compact import EdgeCounts
from harness.experiment.report.load.jsonl import Malformed, Oddities, are_whole, mapping, number, objects, parsed, whole
from harness.experiment.report.load.network_records import EdgeCount, LinkSample
from harness.model.link import Pair

_TICKS: Final = (0.1, 1.0)
"""Seconds between samples: all nodes sample at multiples of one of these."""
_EARLY: Final = 0.1
"""The share of a tick by which a timer may fire too early."""
_NO_EDGES: Final = EdgeCounts({}, array("q"))
_FIELDS: Final = ("src", "dst", *EdgeCount._fields)


def load_links(path: Path, oddities: Oddities) -> tuple[LinkSample, ...]:
    """The samples in order of time; where links.jsonl is missing, those of each node's links-R.jsonl beside it."""
    of_nodes = sorted(path.parent.glob("links-*.jsonl"))
    if not path.is_file() and of_nodes:
        return _joined([_samples(one, oddities) for one in of_nodes])
    if not path.is_file():
        oddities.add(path, "missing: there are no link statistics of this run")
    return tuple(sorted(_samples(path, oddities), key=lambda sample: sample.time))


def _samples(path: Path, oddities: Oddities) -> list[LinkSample]:
    return list(parsed(path, oddities, _Filled().sample))


def _joined(of_nodes: list[list[LinkSample]]) -> tuple[LinkSample, ...]:
    """Join the samples that all nodes took at the same time."""
    tick = _tick(of_nodes)
    moments: dict[tuple[int, int], list[LinkSample]] = {}
    for sample in (sample for samples in of_nodes for sample in samples):
        moments.setdefault((sample.attempt, int(sample.time / tick + _EARLY)), []).append(sample)
    joined, known = [], dict[tuple[Pair, ...], Mapping[Pair, int]]()
    for (attempt, _), parts in sorted(moments.items()):
        edges = _NO_EDGES
        for part in parts:
            edges = edges.changed(part.edges)
        tcp = {rank: segments for part in parts for rank, segments in part.tcp.items()}
        caps = {name: counts for part in parts for name, counts in part.caps.items()}
        joined.append(LinkSample(fmean(part.time for part in parts), edges.sharing(known), tcp, attempt, caps))
    return tuple(joined)


def _tick(of_nodes: list[list[LinkSample]]) -> float:
    """Seconds between samples, by the gaps between lines; there is no line while nothing changes."""
    gaps = [sorted(after.time - before.time for before, after in pairwise(one)) for one in of_nodes if len(one) > 1]
    return _TICKS[0] if gaps and min(one[len(one) // 4] for one in gaps) < _TICKS[1] / 2 else _TICKS[1]


class _Filled:
    """Reads the lines of one file in order, and fills in what has not changed."""

    def __init__(self) -> None:
        self._attempt = 0
        self._edges = _NO_EDGES
        self._tcp: dict[int, tuple[int, int]] = {}
        self._caps: dict[str, EdgeCount] = {}

    def sample(self, record: Mapping[str, Any]) -> LinkSample:
        """The counters after one more line. Raises Malformed."""
        time, attempt = number(record, "time"), whole(record, "attempt", 1)
        edges, tcp, caps = _edges(record), _tcp(record), _caps(record)
        if attempt != self._attempt:
            self._attempt, self._edges, self._tcp, self._caps = attempt, _NO_EDGES, {}, {}
        if edges:
            self._edges = self._edges.changed(edges)
        if any(self._tcp.get(rank) != segments for rank, segments in tcp.items()):
            self._tcp = self._tcp | tcp
        if caps:
            self._caps = self._caps | caps
        return LinkSample(time, self._edges, self._tcp, attempt, self._caps)


def _edges(record: Mapping[str, Any]) -> dict[Pair, Sequence[int]]:
    return dict(map(_edge, objects(record, "edges")))


def _caps(record: Mapping[str, Any]) -> dict[str, EdgeCount]:
    return {
        str(cap.get("name")): EdgeCount(*(whole(cap, name, 0) for name in EdgeCount._fields))
        for cap in objects(record, "caps")
    }


def _edge(edge: dict[str, Any]) -> tuple[Pair, Sequence[int]]:
    values = tuple(map(edge.get, _FIELDS))
    if are_whole(values):
        return values[:2], values[2:]  # type: ignore[return-value]
    counts = [whole(edge, name, 0) for name in EdgeCount._fields]
    return (whole(edge, "src"), whole(edge, "dst")), counts


def _tcp(record: Mapping[str, Any]) -> dict[int, tuple[int, int]]:
    by_rank = mapping(record, "tcp")
    tcp = {}
    for rank in by_rank:
        if not rank.isdecimal():
            raise Malformed(f"tcp has {rank!r}, no rank")
        segments = mapping(by_rank, rank)
        tcp[int(rank)] = whole(segments, "sent_segments", 0), whole(segments, "retransmitted_segments", 0)
    return tcp
