"""A token bucket as net/sched/sch_tbf.c has it: when a packet has its tokens; pure."""

from __future__ import annotations

from typing import Final, Protocol

from harness.model.address import FRAME
from harness.shaping.qdisc import Tbf
from harness.shaping.userspace.packet import counted_bytes

SECOND: Final = 10**9
NEVER: Final = 1 << 62
"""When an empty queue has to be looked at again."""


class Pacer(Protocol):
    """Says when packets leave that wait in line."""

    def passes(self, size: int) -> bool:
        """Whether a packet of so many bytes can ever leave."""
        ...

    def spend(self, now: int, size: int) -> int:
        """When a packet leaves (ns) that is first in line from ``now`` on; to be called once for each."""
        ...


class TokenBucket:
    """A bucket, whose tokens are counted in ns of the rate.

    Args:
        spec: rate and depth.
        frame: bytes of a full frame.
    """

    def __init__(self, spec: Tbf, frame: int = FRAME) -> None:
        self.spec, self._frame = spec, frame
        self._at = 0
        self._tokens = self._depth

    @property
    def _depth(self) -> int:
        return self.spec.burst * SECOND // self.spec.rate_byte_s

    def _need(self, size: int) -> int:
        overhead = self.spec.overhead
        return (counted_bytes(size, overhead, self._frame) if overhead else size) * SECOND // self.spec.rate_byte_s

    def passes(self, size: int) -> bool:
        """See Pacer: not where a frame is larger than the bucket; of a super-packet the frames count."""
        return self._need(min(size, self._frame)) <= self._depth

    def spend(self, now: int, size: int) -> int:
        """See Pacer: when the tokens for so many bytes are there; they are gone then."""
        need, now = self._need(size), max(now, self._at)
        tokens = min(self._depth, self._tokens + now - self._at)
        if tokens < need:
            now += need - tokens
            tokens = need
        self._at, self._tokens = now, tokens - need
        return now

    def change(self, spec: Tbf, now: int, size: int = 0, leaves: int = 0) -> None:
        """Another rate or depth; tokens up to the depth stay.

        Args:
            spec: of now on.
            now: ns.
            size: of the packet that waits for its tokens, which are not spent then; 0: none does.
            leaves: when it would have left, ns.
        """
        tokens, old = self._tokens + max(0, now - self._at), self.spec.rate_byte_s
        if size:  # so the tokens at hand are what it lacks less than it needs
            tokens = self._need(size) - (leaves - now)
        self.spec, self._at = spec, now
        self._tokens = max(0, min(self._depth, tokens * old // spec.rate_byte_s))
