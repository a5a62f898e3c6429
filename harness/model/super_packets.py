"""How large TCP's super-packets may be on a link: loss, queue limits and rates act on whole ones."""

from __future__ import annotations

from typing import Final

from harness.model.address import FRAME
from harness.model.link import LinkShape
from harness.model.units import Rate, Time

SUPER_PACKET_TIME: Final = Time(50_000)
"""How long a TCP super-packet may occupy a loss-free link: smaller ones cost more CPU, larger ones coarsen the rate."""
MAX_SEGMENTS: Final = 138
"""The segments of a super-packet of 200 kB, the largest that nodes send (see netns/wiring.py): more are never sent."""


def most_segments(shape: LinkShape) -> int | None:
    """How many segments a super-packet may have on such a link: one where single packets may be lost or counted."""
    if shape.mean_loss or shape.duplicate or shape.corrupt or shape.reorder or shape.limit or shape.burst:
        return 1
    return None if shape.rate is None else most_segments_at(shape.rate)


def most_segments_at(rate: Rate) -> int | None:
    """How many segments occupy a link of this rate for SUPER_PACKET_TIME; None: as many as the kernel makes."""
    most = int(rate.bit_s * SUPER_PACKET_TIME.seconds / (8 * FRAME))
    return None if most >= MAX_SEGMENTS else max(1, most)
