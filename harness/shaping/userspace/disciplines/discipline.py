"""The protocol of queue disciplines, and the plain queue that most of them have."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from harness.model.queueing import Queue
from harness.shaping.userspace.packet import Packet

Waiting = tuple[int, Packet]
"""When a waiting packet came (ns), and the packet."""


class Discipline(Protocol):
    """Packets that wait for a rate. Times are ns of one clock, and never go back from call to call."""

    @property
    def bytes(self) -> int:
        """Bytes on the wire of the packets that wait."""

    @property
    def packets(self) -> int:
        """How many wait."""

    def configure(self, queue: Queue, limit_bytes: int, rate_byte_s: int) -> None:
        """Change the parameters; waiting packets stay, and so does what it has learned about the traffic."""

    def enqueue(self, now: int, packet: Packet) -> Sequence[Packet]:
        """Take a packet; returns what it drops: this packet, or others that waited."""

    def dequeue(self, now: int) -> tuple[Packet | None, Sequence[Packet]]:
        """The packet to send now, None where none waits, and those that it drops."""

    def leave(self) -> list[Waiting]:
        """Remove and return all waiting packets, the oldest first."""

    def adopt(self, waiting: Iterable[Waiting]) -> None:
        """Take packets that waited in another queue, even if there is no room, so that none is lost."""


class Fifo:
    """Packets in the order in which they came.

    Args:
        limit_bytes: how much may wait, in packets of any size.
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
        """Whether a packet fits; an empty queue takes any, so that even the largest super-packet can be sent."""
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
