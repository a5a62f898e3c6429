"""RED (Floyd and Jacobson 1993, "Random early detection gateways for congestion avoidance"), in bytes.

It keeps an exponentially weighted average of the queue, updated at every arrival; while the queue is empty the average
falls as if small packets had come and gone. Between the thresholds it drops a packet with a probability that grows with
the average and with the packets since the last drop (figure 2). It marks ECN-capable packets instead, also above the
upper threshold, as net/sched/sch_red.c does without ``harddrop``.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from harness.model.queueing import Queue, red_thresholds
from harness.shaping.userspace.disciplines.discipline import Fifo
from harness.shaping.userspace.packet import Packet, marked

WEIGHT: Final = 0.002
"""Weight of an arrival in the average (w_q in section 5)."""
TYPICAL: Final = 1000
"""Bytes; their sending time counts as one arrival while the queue is empty, as in the examples of tc-red(8)."""
_SECOND: Final = 10**9


class Red(Fifo):
    """See Discipline; the queue's probability is set."""

    def __init__(self, queue: Queue, limit_bytes: int, rate_byte_s: int, seed: int) -> None:
        super().__init__(limit_bytes)
        self.average = 0.0
        """Of the queue, bytes."""
        self._since = -1
        """Packets since the last drop or mark; -1 below the lower threshold."""
        self._idle: int | None = 0
        """Since when the queue has been empty, ns; None while it is not."""
        self._random = Random(seed)
        self.configure(queue, limit_bytes, rate_byte_s)

    def configure(self, queue: Queue, limit_bytes: int, rate_byte_s: int) -> None:
        assert queue.probability is not None
        self.limit_bytes = limit_bytes
        self._min, self._max = red_thresholds(queue, limit_bytes)
        self._most, self._ecn = float(queue.probability), queue.ecn
        self._typical_ns = max(1, TYPICAL * _SECOND // rate_byte_s)

    def enqueue(self, now: int, packet: Packet) -> Sequence[Packet]:
        self._measure(now)
        if self._hit():
            spared = marked(packet) if self._ecn else None
            if spared is None:
                return (packet,)
            packet = spared
        if not self.has_room(packet):
            return (packet,)
        self._idle = None
        self.push(now, packet)
        return ()

    def dequeue(self, now: int) -> tuple[Packet | None, Sequence[Packet]]:
        found = self.pop()
        if not self.waiting and self._idle is None:
            self._idle = now
        return (found[1] if found else None), ()

    def _measure(self, now: int) -> None:
        if self._idle is None:
            self.average += WEIGHT * (self.bytes - self.average)
        else:
            self.average *= (1 - WEIGHT) ** (max(0, now - self._idle) / self._typical_ns)
            self._idle = now

    def _hit(self) -> bool:
        """Whether the packet is to be dropped or marked."""
        if self.average < self._min:
            self._since = -1
            return False
        self._since += 1
        if self.average < self._max:
            share = self._most * (self.average - self._min) / (self._max - self._min)
            left = 1 - self._since * share
            if left > 0 and self._random.random() >= share / left:
                return False
        self._since = 0
        return True
