"""What ``verify`` added to the counters of links, kept apart from the traffic of jobs.

An engine's counters cannot be set back without dropping what is queued. So what they rose by while ``verify`` ran
stands in a file beside the network's record.
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
    """What verify added so far; nothing where that was counted for a network that was made at another time."""
    try:
        data = json.loads(path.read_bytes())
        edges = data["edges"] if data["created"] == created else []
        return {(src, dst): Stats(**counted) for src, dst, counted in edges}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def add(path: Path, created: float, more: Mapping[Pair, Stats]) -> None:
    """Add to what is there. Raises HarnessError."""
    old = load(path, created)
    sums = old | {pair: _sum(old.get(pair, Stats()), counted, 1) for pair, counted in more.items()}
    edges = [[*pair, asdict(counted)] for pair, counted in sorted(sums.items())]
    replace_file(path, json.dumps({"created": created, "edges": edges}).encode())


def _sum(one: Stats, other: Stats, sign: int) -> Stats:
    """Packets, bytes and drops of both; a backlog is no sum."""
    return replace(
        Stats(),
        sent_packets=one.sent_packets + sign * other.sent_packets,
        sent_bytes=one.sent_bytes + sign * other.sent_bytes,
        dropped=one.dropped + sign * other.dropped,
    )
