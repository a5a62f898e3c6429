"""A token bucket as in net/sched/sch_tbf.c: when there are tokens for a packet; pure."""

from __future__ import annotations

from typing import Protocol

from harness.model.address import FRAME
from harness.shaping.qdisc import Tbf
from harness.shaping.userspace.clock import SECOND
from harness.shaping.userspace.packet import counted_bytes


class Pacer(Protocol):
    """Decides when the first packet of a queue leaves."""

    def passes(self, size: int) -> bool:
        """Whether a packet of ``size`` bytes can ever leave."""
        ...

    def spend(self, now: int, size: int) -> int:
        """When a packet leaves (ns) that is first in the queue from ``now`` on; to be called once per packet."""
        ...


class TokenBucket:
    """A bucket that counts its tokens in ns at the rate.

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
        """See Pacer: False where the bucket is smaller than a frame; the frames of a super-packet count singly."""
        return self._need(min(size, self._frame)) <= self._depth

    def spend(self, now: int, size: int) -> int:
        """See Pacer: when the tokens for ``size`` bytes are there; takes them."""
        need, now = self._need(size), max(now, self._at)
        tokens = min(self._depth, self._tokens + now - self._at)
        if tokens < need:
            now += need - tokens
            tokens = need
        self._at, self._tokens = now, tokens - need
        return now

    def change(self, spec: Tbf, now: int, size: int = 0, leaves: int = 0) -> None:
        """Change rate or depth; tokens up to the depth stay.

        Args:
            spec: the new rate and depth.
            now: ns.
            size: of the packet that waits for its tokens, which it gives back; 0: none waits.
            leaves: when it would have left, ns.
        """
        tokens, old = self._tokens + max(0, now - self._at), self.spec.rate_byte_s
        if size:  # the tokens at hand are those it needs less those it still waits for
            tokens = self._need(size) - (leaves - now)
        self.spec, self._at = spec, now
        self._tokens = max(0, min(self._depth, tokens * old // spec.rate_byte_s))
