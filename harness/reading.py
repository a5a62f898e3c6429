"""What was read back from a node: the shapes that it holds, and what it has counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.link import LinkShape


@dataclass(frozen=True)
class Stats:
    """Counters of one direction of one edge. ``dropped`` counts random loss and overflow alike."""

    sent_packets: int = 0
    sent_bytes: int = 0
    dropped: int = 0
    backlog_bytes: int = 0
    backlog_packets: int = 0


@dataclass(frozen=True)
class EdgeReading:
    """What a node holds for one direction of one edge, and has counted."""

    applied: LinkShape
    stats: Stats

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in SI units."""
        return {"applied": self.applied.to_json(), "stats": vars(self.stats)}


@dataclass(frozen=True)
class NodeReading:
    """What a node holds: readings by neighbour, and (neighbour, difference) where that is not what was asked for."""

    edges: Mapping[int, EdgeReading]
    mismatches: tuple[tuple[int, str], ...] = ()
