"""A queued packet: what is known of it, and its bytes."""

from __future__ import annotations

from random import Random

from harness.model.address import ETHERNET, HEADERS, MTU, SEGMENT

Packet = tuple[int, int, int, bytes, int]
"""A queued packet: when it leaves (ns), its id or a copy's negative number, bytes on the wire, the payload that
replaces its own (empty where it stays as it is), and when it is at the end of the delay line (ns)."""


def wire_bytes(length: int) -> int:
    """Bytes of Ethernet frames, as qdiscs count them, of a packet or of a super-packet of TCP segments."""
    if length <= MTU:
        return length + ETHERNET
    segments = -(-(length - HEADERS) // SEGMENT)
    return length + ETHERNET + (segments - 1) * (HEADERS + ETHERNET)


def flipped(payload: bytes, random: Random) -> bytes:
    """The packet with one bit changed; nothing where that is in its IP header, for no host takes such a packet.

    The kernel has checked that header before we see the packet, so that it would not find the change.
    """
    header = 40 if payload[0] >> 4 == 6 else (payload[0] & 15) * 4
    place = random.randrange(len(payload))
    if place < header:
        return b""
    changed = bytearray(payload)
    changed[place] ^= 1 << random.randrange(8)
    return bytes(changed)
