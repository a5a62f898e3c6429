"""A token bucket as net/sched/sch_tbf.c has it; pure: packets carry the time at which they come."""

from __future__ import annotations

from collections import deque
from typing import Final

from harness.shaping.qdisc import Tbf
from harness.shaping.userspace.packet import Packet

SECOND: Final = 10**9


class TokenBucket:
    """A bucket and the packets that wait for its tokens, which are counted in ns of the rate."""

    def __init__(self, spec: Tbf) -> None:
        self.spec = spec
        self.queue: deque[Packet] = deque()
        self._bytes = 0
        self._at = 0
        self._tokens = self._depth

    @property
    def _depth(self) -> int:
        return self.spec.burst * SECOND // self.spec.rate_byte_s

    def take(self, packet: Packet) -> bool:
        """Queue a packet that comes at its time; False where there is no room, or it is larger than the bucket."""
        size = packet[2]
        need = size * SECOND // self.spec.rate_byte_s
        if need > self._depth or self._bytes + size > self.spec.limit:
            return False
        self._append(packet[0], packet)
        return True

    def _append(self, came: int, packet: Packet) -> None:
        _, number, size, payload, _, header = packet
        need, now = size * SECOND // self.spec.rate_byte_s, max(came, self._at)
        tokens = min(self._depth, self._tokens + now - self._at)
        if tokens < need:
            now += need - tokens
            tokens = need
        self._at, self._tokens = now, tokens - need
        self._bytes += size
        self.queue.append((now, number, size, payload, came, header))

    def change(self, spec: Tbf, now: int) -> None:
        """Set another rate, burst or limit, for packets that wait for tokens as well; tokens up to the burst stay."""
        old, self.spec = self.spec, spec
        if spec == old:
            return
        waiting = [packet for packet in self.queue if packet[0] > now]
        gone = [packet for packet in self.queue if packet[0] <= now]
        if waiting:  # they wait, so the tokens at hand are what the first one lacks less than it needs
            leaves, size = waiting[0][0], waiting[0][2]
            tokens = size * SECOND // old.rate_byte_s - (leaves - now)
        else:
            tokens = self._tokens + max(0, now - self._at)
        self._at = now
        self._tokens = max(0, min(self._depth, tokens * old.rate_byte_s // spec.rate_byte_s))
        self.queue, self._bytes = deque(gone), sum(packet[2] for packet in gone)
        for packet in waiting:
            self._append(max(now, packet[4]), packet)

    def give(self) -> Packet:
        """The packet at the head."""
        packet = self.queue.popleft()
        self._bytes -= packet[2]
        return packet
