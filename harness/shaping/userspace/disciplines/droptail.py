"""Droptail: what finds no room is dropped."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.discipline import Fifo
from harness.shaping.userspace.packet import Packet


class Droptail(Fifo):
    """See Discipline."""

    def configure(self, queue: Queue, limit_bytes: int, rate_byte_s: int) -> None:
        """See Discipline."""
        self.limit_bytes = limit_bytes

    def enqueue(self, now: int, packet: Packet) -> Sequence[Packet]:
        """See Discipline."""
        if not self.has_room(packet):
            return (packet,)
        self.push(now, packet)
        return ()

    def dequeue(self, now: int) -> tuple[Packet | None, Sequence[Packet]]:
        """See Discipline."""
        found = self.pop()
        return (found[1] if found else None), ()
