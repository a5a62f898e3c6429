"""Reads links.jsonl and changes.jsonl: the counters of links, and when links were changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from harness.errors import HarnessError
from harness.experiment.report.load.jsonl import Malformed, Oddities, mapping, number, parsed, whole
from harness.experiment.report.load.records import EdgeCount, LinkSample, RecordedChange
from harness.model.format import format_distinct, format_shape
from harness.model.link import LinkShape

_EARLY: Final = 0.1
"""Seconds by which a timer may fire before its whole second."""


def load_links(path: Path, oddities: Oddities) -> tuple[LinkSample, ...]:
    """The samples in order of time; a missing file has none, and gets a note.

    Args:
        path: of links.jsonl; where it is missing, each node's links-R.jsonl beside it is read.
        oddities: takes what is odd.
    """
    of_nodes = sorted(path.parent.glob("links-*.jsonl"))
    if not path.is_file() and of_nodes:
        return _joined([sample for one in of_nodes for sample in parsed(one, oddities, _sample)])
    if not path.is_file():
        oddities.add(path, "missing: there are no link statistics of this run")
    return tuple(sorted(parsed(path, oddities, _sample), key=lambda sample: sample.time))


def _joined(samples: list[LinkSample]) -> tuple[LinkSample, ...]:
    """Join the samples of all nodes of the same second: nodes sample at whole seconds."""
    moments: dict[tuple[int, int], list[LinkSample]] = {}
    for sample in samples:
        moments.setdefault((sample.attempt, int(sample.time + _EARLY)), []).append(sample)
    joined = []
    for (attempt, _), parts in sorted(moments.items()):
        edges = {pair: count for part in parts for pair, count in part.edges.items()}
        tcp = {rank: counts for part in parts for rank, counts in part.tcp.items()}
        joined.append(LinkSample(fmean(part.time for part in parts), edges, tcp, attempt))
    return tuple(joined)


def _sample(record: Mapping[str, Any]) -> LinkSample:
    edges = {}
    listed = record.get("edges", [])
    if not isinstance(listed, list) or not all(isinstance(edge, dict) for edge in listed):
        raise Malformed("edges is not a list of objects")
    for edge in listed:
        edges[whole(edge, "src"), whole(edge, "dst")] = EdgeCount(
            sent_packets=whole(edge, "sent_packets", 0),
            sent_bytes=whole(edge, "sent_bytes", 0),
            dropped=whole(edge, "dropped", 0),
            backlog_bytes=whole(edge, "backlog_bytes", 0),
            backlog_packets=whole(edge, "backlog_packets", 0),
        )
    tcp = {}
    by_rank = mapping(record, "tcp")
    for rank in by_rank:
        if not rank.isdecimal():
            raise Malformed(f"tcp has {rank!r}, no rank")
        counts = mapping(by_rank, rank)
        tcp[int(rank)] = whole(counts, "sent_segments", 0), whole(counts, "retransmitted_segments", 0)
    return LinkSample(number(record, "time"), edges, tcp, whole(record, "attempt", 1))


def load_changes(path: Path, oddities: Oddities) -> tuple[RecordedChange, ...]:
    """Every reshape in the order of the file; a missing file has none."""
    return tuple(parsed(path, oddities, _change))


def _change(record: Mapping[str, Any]) -> RecordedChange:
    edges = record.get("edges", [])
    if not isinstance(edges, list) or not all(isinstance(edge, dict) for edge in edges):
        raise Malformed("edges is not a list of objects")
    texts = (f"{whole(edge, 'src')}→{whole(edge, 'dst')}: {_change_text(edge)}" for edge in edges)
    return RecordedChange(number(record, "asked"), number(record, "acknowledged"), tuple(texts))


def _change_text(edge: Mapping[str, Any]) -> str:
    """The fields that changed: ``delay 20 ms → delay 120 ms``; ``down`` for a link that is down."""
    shapes = [_shape(edge.get("before")), _shape(edge.get("after"))]
    old, new = shapes
    if isinstance(old, LinkShape) and isinstance(new, LinkShape):
        names = [field.name for field in fields(LinkShape) if getattr(old, field.name) != getattr(new, field.name)]
        if not names:
            return "as before"
        changed = [LinkShape.unchecked(**{name: getattr(shape, name) for name in names}) for shape in (old, new)]
        return " → ".join(format_distinct(format_shape, changed))
    return " → ".join(format_shape(shape) if isinstance(shape, LinkShape) else shape for shape in shapes)


def _shape(recorded: object) -> LinkShape | str:
    if not isinstance(recorded, dict):
        return "?"
    if recorded.get("down"):
        return "down"
    try:
        shape = LinkShape.from_json(recorded, checked=False)
        format_shape(shape)
    except (HarnessError, KeyError, TypeError, ValueError, AttributeError):
        return "?"
    return shape
