"""How many segments a TCP super-packet may have on a link: loss, queue limits and rates act on whole super-packets."""

from __future__ import annotations

from typing import Final

from harness.model.address import SEGMENT, full_frame, full_segment
from harness.model.link import LinkShape
from harness.model.units import Rate, Time

SUPER_PACKET_TIME: Final = Time(50_000)
"""How long a TCP super-packet may occupy a loss-free link: smaller ones cost more CPU, larger ones coarsen the rate."""
MAX_SUPER_PACKET: Final = 138 * SEGMENT
"""Bytes of the largest super-packet that nodes send, 200 kB (see netns/wiring.py)."""


def max_segments(mtu: int) -> int:
    """Segments of the largest super-packet."""
    return MAX_SUPER_PACKET // full_segment(mtu)


def most_segments(shape: LinkShape, mtu: int) -> int | None:
    """How many segments a super-packet may have on such a link; None: any number.

    One where the link acts on single packets, or has an overhead, which the kernel counts once per super-packet.
    """
    if (
        shape.mean_loss
        or shape.duplicate
        or shape.corrupt
        or shape.reorder
        or shape.limit
        or shape.burst
        or shape.overhead
        or shape.delivery
    ):
        return 1
    return None if shape.rate is None else most_segments_at(shape.rate, mtu)


def most_segments_at(rate: Rate, mtu: int) -> int | None:
    """How many segments occupy a link of this rate for SUPER_PACKET_TIME; None: any number that the kernel makes."""
    most = int(rate.bit_s * SUPER_PACKET_TIME.seconds / (8 * full_frame(mtu)))
    return None if most >= max_segments(mtu) else max(1, most)
