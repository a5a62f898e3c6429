"""A token bucket as net/sched/sch_tbf.c has it, with a queue discipline; pure: packets carry the time when they come.

The packet that is next is taken out of the queue when the one before has left, or when it comes to an idle bucket, and
waits for its tokens. For droptail it still takes room meanwhile, as in bfifo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.model.address import FRAME
from harness.model.queueing import Queue
from harness.shaping.qdisc import Tbf
from harness.shaping.userspace.disciplines.make import changed_discipline, make_discipline
from harness.shaping.userspace.packet import Packet, counted_bytes

SECOND: Final = 10**9
NEVER: Final = 1 << 62
"""When an empty queue has to be looked at again."""


class TokenBucket:
    """A bucket and the packets that wait for its tokens, which are counted in ns of the rate.

    Args:
        spec: rate, depth, and what may wait.
        queue: what is done to what waits.
        seed: of the discipline's random numbers.
    """

    def __init__(self, spec: Tbf, queue: Queue, seed: int, frame: int = FRAME) -> None:
        self.spec, self._queue, self._seed, self._frame = spec, queue, seed, frame
        self._discipline = make_discipline(queue, spec.limit, spec.rate_byte_s, seed)
        self.next = NEVER
        """When the next packet leaves, ns; NEVER where there is none."""
        self._head: Packet | None = None
        """The packet that waits for its tokens, with the time at which it has them."""
        self._at = self._clock = 0
        self._tokens = self._depth

    @property
    def packets(self) -> int:
        """How many wait."""
        return self._discipline.packets + (self._head is not None)

    @property
    def _depth(self) -> int:
        return self.spec.burst * SECOND // self.spec.rate_byte_s

    def take(self, packet: Packet) -> Sequence[Packet]:
        """Queue a packet that comes at its time; returns those that are dropped.

        A frame larger than the bucket is; of a super-packet the frames count.
        """
        if self._need(min(packet[2], self._frame)) > self._depth:
            return (packet,)
        ahead = self._head[2] + self._discipline.bytes if self._head and self._queue.kind == "droptail" else 0
        if ahead and ahead + packet[2] > self.spec.limit:
            return (packet,)
        self._clock = max(self._clock, packet[0])
        dropped = self._discipline.enqueue(self._clock, packet)
        return dropped if self._head else (*dropped, *self._choose(self._clock))

    def adopt(self, packet: Packet, now: int) -> None:
        """Take a packet that has waited elsewhere, whether there is room for it or not: it is not to be lost."""
        self._discipline.adopt([(now, packet)])
        if self._head is None:
            self._choose(now)

    def give(self) -> tuple[Packet, Sequence[Packet]]:
        """The packet that leaves next, and those that are dropped while another one is chosen."""
        head = self._head
        assert head is not None
        self._clock = max(self._clock, head[0])
        return head, self._choose(self._clock)

    def _choose(self, now: int) -> Sequence[Packet]:
        packet, dropped = self._discipline.dequeue(now)
        self._wait_for(packet, now)
        return dropped

    def _wait_for(self, packet: Packet | None, now: int) -> None:
        """Have this packet leave when there are tokens for it."""
        if packet is None:
            self._head, self.next = None, NEVER
            return
        _, number, size, payload, ready, header = packet
        self.next = self._spend(now, size)
        self._head = self.next, number, size, payload, ready, header

    def _need(self, size: int) -> int:
        overhead = self.spec.overhead
        return (counted_bytes(size, overhead, self._frame) if overhead else size) * SECOND // self.spec.rate_byte_s

    def _spend(self, now: int, size: int) -> int:
        """When the tokens for so many bytes are there; they are gone then."""
        need, now = self._need(size), max(now, self._at)
        tokens = min(self._depth, self._tokens + now - self._at)
        if tokens < need:
            now += need - tokens
            tokens = need
        self._at, self._tokens = now, tokens - need
        return now

    def change(self, spec: Tbf, queue: Queue, now: int) -> None:
        """Another rate, burst, limit or discipline, for what waits as well; tokens up to the burst stay."""
        if (spec, queue) == (self.spec, self._queue):
            return
        head, tokens, old = self._head, self._tokens + max(0, now - self._at), self.spec.rate_byte_s
        waits = head is not None and head[0] > now
        if head is not None and waits:  # so the tokens at hand are what it lacks less than it needs
            tokens = self._need(head[2]) - (head[0] - now)
        self.spec, self._at = spec, now
        self._tokens = max(0, min(self._depth, tokens * old // spec.rate_byte_s))
        if head is not None and waits:
            self._wait_for(head, now)
        rate, was, self._queue = spec.rate_byte_s, self._queue, queue
        self._discipline = changed_discipline(self._discipline, was, queue, spec.limit, rate, self._seed)
