"""Droptail: drops packets that find no room."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.discipline import Fifo
from harness.shaping.userspace.packet import Packet


class Droptail(Fifo):
    """See Discipline."""

    def configure(self, queue: Queue, limit_bytes: int, rate_byte_s: int) -> None:
        self.limit_bytes = limit_bytes

    def enqueue(self, now: int, packet: Packet) -> Sequence[Packet]:
        waiting, full = self.waiting, self.bytes + packet[2]
        if full > self.limit_bytes and waiting:  # has_room and push without their calls, for speed
            return (packet,)
        waiting.append((now, packet))
        self.bytes = full
        return ()

    def dequeue(self, now: int) -> tuple[Packet | None, Sequence[Packet]]:
        if not self.waiting:
            return None, ()
        _, packet = self.waiting.popleft()
        self.bytes -= packet[2]
        return packet, ()
