"""CoDel, controlled delay (the pseudocode of RFC 8289, section 5): drops at the head of a standing queue.

A queue stands when every packet has waited for at least ``target`` during a whole ``interval``. Then it drops one, and
the next after interval / sqrt(number dropped), until a packet has waited for less. With ECN it marks and sends a packet
instead of dropping it (net/sched: codel_impl.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final

from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.discipline import Fifo
from harness.shaping.userspace.packet import Packet, marked

_RECENT: Final = 16
"""A queue that stands again within so many intervals continues at about its last rate of drops (section 4.3)."""


class Codel(Fifo):
    """See Discipline; the queue's target and interval are set."""

    def __init__(self, queue: Queue, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self._first_above = 0
        """When packets will have waited for too long during an interval, ns; 0 while they do not."""
        self._dropping = False
        self._drop_next = 0
        self._count = self._last_count = 0
        self._largest = 0
        self.configure(queue, limit_bytes, 0)

    def configure(self, queue: Queue, limit_bytes: int, rate_byte_s: int) -> None:
        assert queue.target is not None
        assert queue.interval is not None
        self.limit_bytes = limit_bytes
        self._target, self._interval, self._ecn = queue.target.ns, queue.interval.ns, queue.ecn

    def enqueue(self, now: int, packet: Packet) -> Sequence[Packet]:
        if not self.has_room(packet):
            return (packet,)
        self.push(now, packet)
        self._largest = max(self._largest, packet[2])
        return ()

    def dequeue(self, now: int) -> tuple[Packet | None, Sequence[Packet]]:
        packet, stands = self._take(now)
        if packet is None or not stands:
            self._dropping = False
            return packet, ()
        if self._dropping:
            return self._go_on(now, packet)
        return self._begin(now, packet)

    def _take(self, now: int) -> tuple[Packet | None, bool]:
        """The packet at the head, and whether the queue stands (RFC 8289's dodequeue)."""
        found = self.pop()
        if found is None:
            self._first_above = 0
            return None, False
        came, packet = found
        if now - came < self._target or self.bytes <= self._largest:
            self._first_above = 0
        elif not self._first_above:
            self._first_above = now + self._interval
        else:
            return packet, now >= self._first_above
        return packet, False

    def _begin(self, now: int, packet: Packet) -> tuple[Packet | None, Sequence[Packet]]:
        """Drop or mark the first one of a standing queue."""
        sent, dropped = self._spare_or_next(now, packet)
        self._dropping = True
        delta = self._count - self._last_count
        recent = now - self._drop_next < _RECENT * self._interval
        self._count = self._last_count = delta if delta > 1 and recent else 1
        self._drop_next = self._after(now)
        return sent, dropped

    def _go_on(self, now: int, packet: Packet) -> tuple[Packet | None, Sequence[Packet]]:
        """Drop packets that are due, until one has waited for less; or mark one."""
        dropped: list[Packet] = []
        sent: Packet | None = packet
        while sent is not None and self._dropping and now >= self._drop_next:
            self._count += 1
            if self._ecn and (spared := marked(sent)) is not None:
                self._drop_next = self._after(self._drop_next)
                return spared, dropped
            dropped.append(sent)
            sent, self._dropping = self._take(now)
            if self._dropping:
                self._drop_next = self._after(self._drop_next)
        return sent, dropped

    def _spare_or_next(self, now: int, packet: Packet) -> tuple[Packet | None, Sequence[Packet]]:
        if self._ecn and (spared := marked(packet)) is not None:
            return spared, ()
        return self._take(now)[0], (packet,)

    def _after(self, time: int) -> int:
        """When the next packet is dropped (the control law)."""
        return time + int(self._interval / sqrt(self._count))
