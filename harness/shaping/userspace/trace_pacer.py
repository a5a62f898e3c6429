"""Paces packets by a packet-delivery trace: each leaves at the opportunity that delivers its last byte; pure."""

from __future__ import annotations

from harness.model.address import FRAME
from harness.model.delivery import OVERHEAD, Delivery, counts_of
from harness.model.opportunities import Opportunities
from harness.shaping.userspace.packet import counted_bytes


class TracePacer:
    """A trace that began at some time; see Pacer.

    Args:
        delivery: the trace, known to this process (model/delivery.py).
        begun: when it began, ns.
        frame: bytes of a full frame.
    """

    def __init__(self, delivery: Delivery, begun: int, frame: int = FRAME) -> None:
        self.begun, self._frame = begun, frame
        self._opportunities = Opportunities(delivery, counts_of(delivery.digest), begun)

    def passes(self, size: int) -> bool:
        """See Pacer: True, because a large packet takes several opportunities."""
        return True

    def spend(self, now: int, size: int) -> int:
        """See Pacer; NEVER after the end of the trace."""
        return self._opportunities.deliver(now, counted_bytes(size, OVERHEAD, self._frame))
