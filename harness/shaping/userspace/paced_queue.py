"""A queue in front of a token bucket or a packet-delivery trace; pure: packets carry the time when they come.

The discipline chooses the next packet when the one before has left, or when a packet comes to an idle queue; the
chosen packet then waits for its tokens or opportunities. With droptail it takes room meanwhile, as in bfifo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.model.address import FRAME
from harness.model.delivery import Delivery
from harness.model.queueing import Queue
from harness.shaping.qdisc import PASSING_BURST, PASSING_BYTE_S, Tbf
from harness.shaping.userspace.clock import NEVER
from harness.shaping.userspace.disciplines.make import changed_discipline, make_discipline
from harness.shaping.userspace.packet import Packet
from harness.shaping.userspace.token_bucket import Pacer, TokenBucket
from harness.shaping.userspace.trace_pacer import TracePacer


@dataclass(frozen=True)
class Line:
    """What packets wait for, and how many may wait.

    Args:
        pace: a token bucket's rate and depth, or a trace.
        queue: the discipline for the packets that wait.
        limit: bytes that may wait.
    """

    pace: Tbf | Delivery
    queue: Queue
    limit: int

    @property
    def rate_byte_s(self) -> int:
        """In the long run."""
        return self.pace.mean_rate.byte_s if isinstance(self.pace, Delivery) else self.pace.rate_byte_s


class PacedQueue:
    """A queue in front of a pacer.

    Args:
        line: the pacer and the queue.
        seed: of the discipline's random numbers.
        frame: bytes of a full frame.
        begun: when a trace began, ns.
    """

    def __init__(self, line: Line, seed: int, frame: int = FRAME, begun: int = 0) -> None:
        self._line, self._seed, self._frame = line, seed, frame
        self._discipline = make_discipline(line.queue, line.limit, line.rate_byte_s, seed)
        self._pacer: Pacer = self._pacer_of(line.pace, begun)
        self.next = NEVER
        """When the next packet leaves, ns; NEVER where there is none, or the trace has ended."""
        self._head: Packet | None = None
        """The chosen packet, with the time at which it leaves."""
        self._clock = 0

    def _pacer_of(self, pace: Tbf | Delivery, begun: int) -> Pacer:
        return TracePacer(pace, begun, self._frame) if isinstance(pace, Delivery) else TokenBucket(pace, self._frame)

    @property
    def packets(self) -> int:
        """How many wait."""
        return self._discipline.packets + (self._head is not None)

    @property
    def begun(self) -> int:
        """When its trace began, ns; 0 without a trace."""
        return self._pacer.begun if isinstance(self._pacer, TracePacer) else 0

    def take(self, packet: Packet) -> Sequence[Packet]:
        """Queue a packet that comes at its time; returns the packets to drop."""
        if not self._pacer.passes(packet[2]):
            return (packet,)
        ahead = self._head[2] + self._discipline.bytes if self._head and self._line.queue.kind == "droptail" else 0
        if ahead and ahead + packet[2] > self._line.limit:
            return (packet,)
        self._clock = max(self._clock, packet[0])
        dropped = self._discipline.enqueue(self._clock, packet)
        return dropped if self._head else (*dropped, *self._choose(self._clock))

    def adopt(self, packet: Packet, now: int) -> None:
        """Queue a packet that has waited elsewhere, even if there is no room, so that it is not lost."""
        self._discipline.adopt([(now, packet)])
        if self._head is None:
            self._choose(now)

    def give(self) -> tuple[Packet, Sequence[Packet]]:
        """The packet that leaves next, and those that the discipline drops as it chooses another."""
        head = self._head
        assert head is not None
        self._clock = max(self._clock, head[0])
        return head, self._choose(self._clock)

    def _choose(self, now: int) -> Sequence[Packet]:
        packet, dropped = self._discipline.dequeue(now)
        self._wait_for(packet, now)
        return dropped

    def _wait_for(self, packet: Packet | None, now: int) -> None:
        if packet is None:
            self._head, self.next = None, NEVER
            return
        _, number, size, payload, ready, header = packet
        self.next = self._pacer.spend(now, size)
        self._head = self.next, number, size, payload, ready, header

    def open(self, now: int) -> None:
        """Limit nothing any more: what waits leaves at the next look."""
        self.change(Line(Tbf(PASSING_BYTE_S, PASSING_BURST, 1 << 32), self._line.queue, 1 << 32), now)

    def change(self, line: Line, now: int) -> None:
        """Change rate, burst, trace, limit or discipline, also for what waits; tokens up to the burst stay."""
        if line == self._line:
            return
        was, self._line, head = self._line, line, self._head
        waits = head is not None and head[0] > now
        if line.pace != was.pace:
            if isinstance(self._pacer, TokenBucket) and isinstance(line.pace, Tbf):
                self._pacer.change(line.pace, now, head[2] if head and waits else 0, head[0] if head else 0)
            else:
                self._pacer = self._pacer_of(line.pace, now)
            if waits:
                self._wait_for(head, now)
        self._discipline = changed_discipline(
            self._discipline, was.queue, line.queue, line.limit, line.rate_byte_s, self._seed
        )
