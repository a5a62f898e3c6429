"""A rate that several flows share fairly; pure: the time is an argument.

Deficit round robin (Shreedhar and Varghese 1995) as Linux's fq_codel has it: a flow whose turn it is sends while it has
credit left, which a packet may overdraw; then it gets a full frame's more, and is last in the round. So it needs no
look at the next packet's size, and a flow of small packets sends as many bytes as one of large ones. A flow that has
nothing to send drops out of the round, its credit as at the end of a turn.

Every flow has a queue of its own (disciplines/). Which packet is sent next is decided when the one before has been
sent, as of that moment, whenever it is that somebody looks; packets that come are to be given in the order of their
times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from harness.model.address import FRAME
from harness.shaping.userspace.disciplines.discipline import Discipline
from harness.shaping.userspace.packet import Packet, counted_bytes

SECOND: Final = 10**9
NEVER: Final = 1 << 62
"""When an idle bottleneck has to be looked at again."""
UNLIMITED: Final = 1 << 60
"""Byte/s at which everything leaves at once."""


class Flow:
    """One of those that share a bottleneck.

    Args:
        queue: of its packets that wait.
    """

    def __init__(self, queue: Discipline) -> None:
        self.queue = queue
        self.credit = FRAME
        """Bytes that it may send before it is the next one's turn; below 0 after a packet that was larger."""
        self.active = False
        """Whether it is in the round."""


AnyFlow = TypeVar("AnyFlow", bound=Flow)
Departure = tuple[int, AnyFlow, Packet]
"""When a packet has been sent (ns), whose it was, and the packet."""


class Bottleneck(Generic[AnyFlow]):
    """Packets of several flows on their way through one rate.

    Args:
        rate_byte_s: byte/s.
        overhead: bytes that the rate counts of every frame beside its own.
        frame: bytes of a full one.
    """

    def __init__(self, rate_byte_s: int, overhead: int = 0, frame: int = FRAME) -> None:
        self.dropped: list[tuple[AnyFlow, Packet]] = []
        """What the flows' queues dropped; the caller takes it away."""
        self.backlog_bytes = self.backlog_packets = 0
        """What waits or is being sent."""
        self._rate, self._overhead, self._frame = rate_byte_s, overhead, frame
        self._round: deque[AnyFlow] = deque()
        self._sending: deque[Departure[AnyFlow]] = deque()
        self._free = 0
        """When all that was chosen has been sent."""
        self._clock = 0
        """The time of the last decision: no queue is given an earlier one."""
        self._since = self._sent = 0
        """Bytes that were chosen since a time: what is exact to the byte, however many packets these are."""

    @property
    def next(self) -> int:
        """When the next packet has been sent, ns; NEVER where there is none."""
        return self._sending[0][0] if self._sending else NEVER

    def arrive(self, at: int, flow: AnyFlow, packet: Packet) -> None:
        """Take a packet that came at a time (ns), or drop it; the time is no earlier than that of the one before."""
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
        """What has been sent by then (ns), in that order. All that came by then was to be given before."""
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
        """Send at another rate from now on, also the rest of a packet that is being sent."""
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
        """Send what can be begun by then."""
        turns, free = self._round, self._free
        while turns and free <= until:
            flow = turns[0]
            if flow.credit <= 0:  # its turn ends only now: a flow that came meanwhile is before it in the next round
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
