"""Finds out which received packet is which sent one, and so how long it took."""

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
"""Kinds of sent packets that may be waited for; the oldest are forgotten then: those were lost."""


@dataclass
class EdgeCount:
    """What was recorded of a directed edge.

    Args:
        sent: packets.
        received: packets.
        matched: received ones that are known to be a sent one.
        least_ns: the shortest time that one of these took.
        most_ns: the longest.
        sum_ns: of all of them.
    """

    sent: int = 0
    received: int = 0
    matched: int = 0
    least_ns: int = 0
    most_ns: int = 0
    sum_ns: int = 0

    def took(self, ns: int) -> None:
        """One took so long."""
        self.least_ns = min(self.least_ns, ns) if self.matched else ns
        self.most_ns = max(self.most_ns, ns)
        self.matched += 1
        self.sum_ns += ns


class Pairing:
    """Records in the order of their time; equal packets, as of a retransmission, count as received in their order.

    Args:
        points: to which records belong, by number.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self.edges: dict[Pair, EdgeCount] = {point.pair: EdgeCount() for point in points}
        self._sent: OrderedDict[int, deque[int]] = OrderedDict()

    def add(self, record: Record) -> int | None:
        """ns since the packet was sent; None where it is the sending, or that is not known."""
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
