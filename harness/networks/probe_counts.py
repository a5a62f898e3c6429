"""The traffic of ``verify`` in the counters of links, so that the traffic of jobs can be counted without it.

Resetting an engine's counters would drop queued packets. So a file beside the network's registration keeps what
``verify`` added to them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from harness.model.link import Pair
from harness.model.status import Stats
from harness.run_files import replace_file


def difference(before: Mapping[Pair, Stats], after: Mapping[Pair, Stats]) -> dict[Pair, Stats]:
    """What was sent and dropped between two readings, by directed edge."""
    return {pair: _sum(after[pair], before[pair], -1) for pair in before.keys() & after.keys()}


def load(path: Path, created: float) -> dict[Pair, Stats]:
    """What verify has added so far; empty where the file is of a network that was created at another time."""
    try:
        data = json.loads(path.read_bytes())
        edges = data["edges"] if data["created"] == created else []
        return {(src, dst): Stats(**counted) for src, dst, counted in edges}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def add(path: Path, created: float, more: Mapping[Pair, Stats]) -> None:
    """Add ``more`` to the file. Raises HarnessError."""
    old = load(path, created)
    sums = old | {pair: _sum(old.get(pair, Stats()), counted, 1) for pair, counted in more.items()}
    edges = [[*pair, asdict(counted)] for pair, counted in sorted(sums.items())]
    replace_file(path, json.dumps({"created": created, "edges": edges}).encode())


def _sum(one: Stats, other: Stats, sign: int) -> Stats:
    """The sum of packets, bytes and drops, with ``sign`` before ``other``; without backlogs."""
    return replace(
        Stats(),
        sent_packets=one.sent_packets + sign * other.sent_packets,
        sent_bytes=one.sent_bytes + sign * other.sent_bytes,
        dropped=one.dropped + sign * other.dropped,
    )
