"""A rate that several flows share fairly; pure: the time is an argument.

Deficit round robin (Shreedhar and Varghese 1995) as in Linux's fq_codel: a flow sends while it has credit left, which
its last packet may overdraw; then it gets credit for another full frame and goes to the end of the round. So a flow of
small packets sends as many bytes as one of large packets. A flow with nothing to send leaves the round, with its credit
as at the end of a turn.

Every flow has a queue of its own (disciplines/). The bottleneck decides which packet is next as of the moment when the
one before has been sent, however late it is called; packets must arrive in the order of their times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from harness.model.address import FRAME
from harness.shaping.userspace.clock import NEVER, SECOND
from harness.shaping.userspace.disciplines.discipline import Discipline
from harness.shaping.userspace.packet import Packet, counted_bytes

UNLIMITED: Final = 1 << 60
"""Byte/s at which everything leaves at once."""


class Flow:
    """One of the flows that share a bottleneck.

    Args:
        queue: of its packets.
    """

    def __init__(self, queue: Discipline) -> None:
        self.queue = queue
        self.credit = FRAME
        """Bytes that it may send in its turn; below 0 after a packet larger than the rest of its credit."""
        self.active = False
        """Whether it is in the round."""


AnyFlow = TypeVar("AnyFlow", bound=Flow)
Departure = tuple[int, AnyFlow, Packet]
"""When a packet has been sent (ns), its flow, and the packet."""


class Bottleneck(Generic[AnyFlow]):
    """Packets of several flows on their way through one rate.

    Args:
        rate_byte_s: byte/s.
        overhead: bytes that the rate counts per frame beside the frame's own.
        frame: bytes of a full frame.
    """

    def __init__(self, rate_byte_s: int, overhead: int = 0, frame: int = FRAME) -> None:
        self.dropped: list[tuple[AnyFlow, Packet]] = []
        """What the flows' queues dropped; the caller clears it."""
        self.backlog_bytes = self.backlog_packets = 0
        """Of packets that wait or are being sent."""
        self._rate, self._overhead, self._frame = rate_byte_s, overhead, frame
        self._round: deque[AnyFlow] = deque()
        self._sending: deque[Departure[AnyFlow]] = deque()
        self._free = 0
        """When all chosen packets have been sent, ns."""
        self._clock = 0
        """The time of the last decision, ns; no queue sees an earlier time."""
        self._since = self._sent = 0
        """A time (ns) and the bytes chosen since then: rounding errors do not add up from packet to packet."""

    @property
    def next(self) -> int:
        """When the next packet has been sent, ns; NEVER where there is none."""
        return self._sending[0][0] if self._sending else NEVER

    def arrive(self, at: int, flow: AnyFlow, packet: Packet) -> None:
        """Take a packet that came at a time (ns), no earlier than the one before it; or drop it."""
        if self._round and self._free <= at:
            self._choose(at)
        if at < self._clock:
            at = self._clock
        self._clock = at
        self.backlog_bytes += packet[2]
        self.backlog_packets += 1
        if dropped := flow.queue.enqueue(at, packet):
            self._drop(flow, dropped)
        if not flow.active and flow.queue.bytes:
            flow.active = True
            self._round.append(flow)
        if self._free <= at and self._round:
            self._free = self._since = at
            self._sent = 0
            self._choose(at)

    def release(self, until: int) -> list[Departure[AnyFlow]]:
        """What has been sent by then (ns), in order; every packet that came by then must have arrived."""
        if self._round and self._free <= until:
            self._choose(until)
        sending, found, total = self._sending, [], 0
        while sending and sending[0][0] <= until:
            departure = sending.popleft()
            total += departure[2][2]
            found.append(departure)
        self.backlog_bytes -= total
        self.backlog_packets -= len(found)
        return found

    def change(self, rate_byte_s: int, overhead: int, now: int) -> None:
        """Send at a new rate from now on, also the rest of a packet that is being sent."""
        if (rate_byte_s, overhead) == (self._rate, self._overhead):
            return
        if self._round and self._free <= now:
            self._choose(now)
        old, last = self._rate, now
        for index, (leaves, flow, packet) in enumerate(self._sending):
            if leaves > now:
                rest = min(leaves - now, counted_bytes(packet[2], self._overhead, self._frame) * SECOND // old)
                last += rest * old // rate_byte_s
                self._sending[index] = last, flow, packet
        self._rate, self._overhead = rate_byte_s, overhead
        self._free = self._since = last
        self._sent = 0

    def _choose(self, until: int) -> None:
        """Send packets as long as the next one can begin by then."""
        turns, free = self._round, self._free
        while turns and free <= until:
            flow = turns[0]
            if flow.credit <= 0:  # its turn ends only now, so a flow that came meanwhile is before it in the next round
                flow.credit += FRAME
                turns.rotate(-1)
                continue
            if free > self._clock:
                self._clock = free
            packet, dropped = flow.queue.dequeue(self._clock)
            if dropped:
                self._drop(flow, dropped)
            if packet is not None:
                counted = counted_bytes(packet[2], self._overhead, self._frame) if self._overhead else packet[2]
                flow.credit -= counted
                self._sent += counted
                free = self._since + self._sent * SECOND // self._rate
                self._sending.append((free, flow, packet))
            if not flow.queue.bytes:
                turns.popleft()
                flow.active = False
                if flow.credit <= 0:
                    flow.credit += FRAME
        self._free = free

    def _drop(self, flow: AnyFlow, packets: Sequence[Packet]) -> None:
        for packet in packets:
            self.dropped.append((flow, packet))
            self.backlog_bytes -= packet[2]
            self.backlog_packets -= 1
