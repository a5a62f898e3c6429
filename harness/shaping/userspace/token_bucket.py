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

    def take(self, item: Packet) -> bool:
        """Queue a packet that comes at its time; False where there is no room, or it is larger than the bucket."""
        came, number, size, payload = item
        need = size * SECOND // self.spec.rate_byte_s
        if need > self._depth or self._bytes + size > self.spec.limit:
            return False
        now = max(came, self._at)
        tokens = min(self._depth, self._tokens + now - self._at)
        if tokens < need:
            now += need - tokens
            tokens = need
        self._at, self._tokens = now, tokens - need
        self._bytes += size
        self.queue.append((now, number, size, payload))
        return True

    def give(self) -> Packet:
        """The packet at the head."""
        item = self.queue.popleft()
        self._bytes -= item[2]
        return item
