"""Packets on their way through a delay and a rate, in the order in which they leave; pure."""

from __future__ import annotations

import heapq
from collections import deque

from harness.shaping.userspace.clock import SECOND
from harness.shaping.userspace.packet import Packet, counted_bytes


class DelayLine:
    """What waits for its delay to pass and for its turn at the rate.

    Args:
        frame: bytes of a full frame.
    """

    def __init__(self, frame: int) -> None:
        self.unordered = 0
        """The highest id that may leave before a lower one; one verdict can serve many packets above it."""
        self._frame = frame
        self._fifo: deque[Packet] = deque()
        self._heap: list[Packet] = []
        """Packets that overtake others, and copies, which have no id in the kernel."""
        self._rate = self._overhead = 0
        """Byte/s, 0 for no rate, and bytes that it counts per frame beside the frame's own."""
        self._last = 0
        """When the packet leaves that came last, ns."""
        self._busy_until = 0
        """When all packets would be sent if there were no delay, ns."""

    def _queue(self, packet: Packet) -> None:
        fifo, (due, number, *_) = self._fifo, packet
        if number > 0 and (not fifo or (fifo[-1][0] <= due and fifo[-1][1] < number)):
            fifo.append(packet)
        else:
            self._overtake(packet)

    def _overtake(self, packet: Packet) -> None:
        heapq.heappush(self._heap, packet)
        self.unordered = max(self.unordered, packet[1], self._fifo[-1][1] if self._fifo else 0)

    def _pop(self, until: int) -> Packet | None:
        """The next packet that leaves by then; None where there is none."""
        fifo, heap = self._fifo, self._heap
        if heap and (not fifo or heap[0] < fifo[0]):
            return heapq.heappop(heap) if heap[0][0] <= until else None
        return fifo.popleft() if fifo and fifo[0][0] <= until else None

    def _change_rate(self, rate: int, overhead: int, now: int) -> None:
        """Send what is queued, also the rest of a packet that is half sent, at a new rate in byte/s; 0: no rate."""
        old, old_overhead = self._rate, self._overhead
        self._rate, self._overhead = rate, overhead
        if not old:  # packets only wait for their delay, which stays
            return
        packets = sorted([*self._fifo, *self._heap])
        self._fifo.clear()
        self._heap.clear()
        last = 0
        for packet in packets:
            leaves, _, size, _, ready, _ = packet
            due = leaves
            if leaves > now:
                whole = self._sending(size, old, old_overhead)
                begun = min(whole, max(0, now - (leaves - whole)))  # ns for which it has been sent already
                rest = self._sending(size, rate, overhead) * (whole - begun) // max(1, whole)
                due = max(last, ready, now if begun else 0) + rest
            last = due
            self._queue((due, *packet[1:]))
        self._last = max(last, now)
        self._busy_until = now + (max(0, self._busy_until - now) * old // rate if rate else 0)

    def _sending(self, size: int, rate: int, overhead: int) -> int:
        """How long a packet takes to be sent, ns."""
        return counted_bytes(size, overhead, self._frame) * SECOND // rate if rate else 0
