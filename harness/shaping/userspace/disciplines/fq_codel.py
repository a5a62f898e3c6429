"""FQ-CoDel (RFC 8290): a CoDel queue for each of many flows, and deficit round robin between them.

A flow that has just begun, or sends less than its share, precedes flows that keep a queue, so a ping or a short answer
does not wait behind a bulk transfer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

from harness.model.address import FRAME
from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.codel import Codel
from harness.shaping.userspace.disciplines.discipline import Waiting
from harness.shaping.userspace.packet import Packet, flow_key

QUEUES: Final = 1024
"""Flows are hashed into so many (RFC 8290, section 5.2.3)."""
_SHIFT: Final = 22
"""The upper bits of a 32-bit product with an odd number, made of the seed, choose the queue (Dietzfelbinger et al.
1997): flows that share a queue with one seed do not with another, which CRC's start value would not achieve."""
QUANTUM: Final = FRAME
"""Bytes that a flow may send per round (section 5.2.4)."""
_BATCH: Final = 64
"""A full buffer drops half of the longest queue, at most so many packets (section 4.1)."""
_NO_LIMIT: Final = 1 << 62


class _Flow(Codel):
    """One flow's queue, without a limit because all flows share one buffer, and its credit in this round."""

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue, _NO_LIMIT)
        self.credit = QUANTUM
        self.listed = False


class FqCodel:
    """See Discipline; the queue's target and interval are set."""

    def __init__(self, queue: Queue, limit_bytes: int, seed: int) -> None:
        self.bytes = self.packets = 0
        self._limit, self._queue = limit_bytes, queue
        self._multiplier = seed & 0xFFFFFFFF | 1
        self._flows: dict[int, _Flow] = {}
        self._new: deque[_Flow] = deque()
        self._old: deque[_Flow] = deque()

    def configure(self, queue: Queue, limit_bytes: int, rate_byte_s: int) -> None:
        self._limit, self._queue = limit_bytes, queue
        for flow in self._flows.values():
            flow.configure(queue, _NO_LIMIT, rate_byte_s)

    def enqueue(self, now: int, packet: Packet) -> Sequence[Packet]:
        if self.bytes > self._limit and self.packets > 1:  # the limit was lowered: waiting packets stay
            return (packet,)
        self._insert(now, packet)
        return self._shorten() if self.bytes > self._limit and self.packets > 1 else ()

    def _insert(self, now: int, packet: Packet) -> None:
        number = (crc32(flow_key(packet[5])) * self._multiplier & 0xFFFFFFFF) >> _SHIFT
        flow = self._flows.get(number)
        if flow is None:
            flow = self._flows[number] = _Flow(self._queue)
        flow.enqueue(now, packet)
        self.bytes += packet[2]
        self.packets += 1
        if not flow.listed:
            flow.listed, flow.credit = True, QUANTUM
            self._new.append(flow)

    def _shorten(self) -> list[Packet]:
        """Drop from the head of the longest queue until half of it is gone and there is room, or _BATCH packets."""
        longest = max(self._flows.values(), key=lambda flow: flow.bytes)
        enough = longest.bytes // 2
        dropped: list[Packet] = []
        while (longest.bytes > enough or self.bytes > self._limit) and longest.packets and len(dropped) < _BATCH:
            if (found := longest.pop()) is not None:
                dropped.append(found[1])
                self._forget(found[1])
        return dropped

    def dequeue(self, now: int) -> tuple[Packet | None, Sequence[Packet]]:
        """See Discipline; section 4.2."""
        dropped: list[Packet] = []
        while turns := self._new or self._old:
            flow = turns[0]
            if flow.credit <= 0:
                flow.credit += QUANTUM
                self._old.append(turns.popleft())
                continue
            packet, gone = flow.dequeue(now)
            for each in gone:
                dropped.append(each)
                self._forget(each)
            if packet is not None:
                self._forget(packet)
                flow.credit -= packet[2]
                return packet, dropped
            turns.popleft()
            if turns is self._new and self._old:  # it must not return as new at once, and starve old flows
                self._old.append(flow)
            else:
                flow.listed = False
        return None, dropped

    def _forget(self, packet: Packet) -> None:
        self.bytes -= packet[2]
        self.packets -= 1

    def leave(self) -> list[Waiting]:
        found = sorted(waiting for flow in self._flows.values() for waiting in flow.leave())
        self.bytes = self.packets = 0
        return found

    def adopt(self, waiting: Iterable[Waiting]) -> None:
        for came, packet in waiting:
            self._insert(came, packet)
