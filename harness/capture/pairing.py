"""Matches received packets with sent ones, to find out how long they took."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.capture.ip import identity
from harness.capture.points import Point
from harness.capture.record import Record
from harness.model.link import Pair

_REMEMBERED: Final = 200_000
"""Different sent packets that are kept for matching; the oldest beyond that count as lost."""


@dataclass
class PairedCount:
    """Packets of a directed edge: sent, received, and matched (received and sent), with the time that these took."""

    sent: int = 0
    received: int = 0
    matched: int = 0
    least_ns: int = 0
    most_ns: int = 0
    sum_ns: int = 0

    def took(self, ns: int) -> None:
        """Count a matched packet, which took that long."""
        self.least_ns = min(self.least_ns, ns) if self.matched else ns
        self.most_ns = max(self.most_ns, ns)
        self.matched += 1
        self.sum_ns += ns


class Pairing:
    """Matches records, which must be added by time. Equal packets (retransmissions) are matched in order."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self.edges: dict[Pair, PairedCount] = {point.pair: PairedCount() for point in points}
        self._sent: OrderedDict[int, deque[int]] = OrderedDict()

    def add(self, record: Record) -> int | None:
        """Add a record; return ns since the packet was sent, or None where this is its sending or not known."""
        point = self._points[record.point]
        edge, key = self.edges[point.pair], hash((point.pair, identity(record.data)))
        if point.side == "sent":
            edge.sent += 1
            self._sent.setdefault(key, deque()).append(record.at)
            if len(self._sent) > _REMEMBERED:
                self._sent.popitem(last=False)
            return None
        edge.received += 1
        if (times := self._sent.get(key)) is None:
            return None
        took = record.at - times.popleft()
        if not times:
            del self._sent[key]
        edge.took(took)
        return took
