"""What a queue discipline is asked, and the plain queue that most of them keep."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from harness.model.queueing import Queue
from harness.shaping.userspace.packet import Packet

Waiting = tuple[int, Packet]
"""A packet that waits, behind when it came (ns)."""


class Discipline(Protocol):
    """Packets that wait for a rate. Times are ns of one clock and never go back, whichever method they are given to."""

    @property
    def bytes(self) -> int:
        """On the wire, of what waits."""

    @property
    def packets(self) -> int:
        """How many wait."""

    def configure(self, queue: Queue, limit_bytes: int, rate_byte_s: int) -> None:
        """Take other parameters, of the same discipline; what waits stays, and what was learned of the traffic."""

    def enqueue(self, now: int, packet: Packet) -> Sequence[Packet]:
        """Take a packet; returns what is dropped: the packet itself, or others that waited."""

    def dequeue(self, now: int) -> tuple[Packet | None, Sequence[Packet]]:
        """The packet to send now, None where none waits, and those that are dropped instead of being sent."""

    def leave(self) -> list[Waiting]:
        """All that waits, the oldest first; the queue is empty then."""

    def adopt(self, waiting: Iterable[Waiting]) -> None:
        """Take what waited in another queue, whether there is room for it or not: it is not to be lost."""


class Fifo:
    """Packets in the order in which they came.

    Args:
        limit_bytes: how much may wait, of whatever size: a queue that holds N bytes holds N bytes of small packets.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.bytes = 0
        self.limit_bytes = limit_bytes
        self.waiting: deque[Waiting] = deque()

    @property
    def packets(self) -> int:
        """How many wait."""
        return len(self.waiting)

    def has_room(self, packet: Packet) -> bool:
        """Whether it fits; into an empty queue anything does, so that no super-packet is too large to be ever sent."""
        return self.bytes + packet[2] <= self.limit_bytes or not self.waiting

    def push(self, now: int, packet: Packet) -> None:
        """Append it."""
        self.waiting.append((now, packet))
        self.bytes += packet[2]

    def pop(self) -> Waiting | None:
        """The oldest."""
        if not self.waiting:
            return None
        found = self.waiting.popleft()
        self.bytes -= found[1][2]
        return found

    def leave(self) -> list[Waiting]:
        found = list(self.waiting)
        self.waiting.clear()
        self.bytes = 0
        return found

    def adopt(self, waiting: Iterable[Waiting]) -> None:
        for came, packet in waiting:
            self.push(came, packet)
