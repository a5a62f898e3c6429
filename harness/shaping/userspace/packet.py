"""A queued packet, and what its bytes say."""

from __future__ import annotations

from random import Random
from typing import Final

from harness.model.address import ETHERNET, FRAME, HEADERS, MTU, full_segment

Packet = tuple[int, int, int, bytes, int, bytes]
"""When it leaves (ns); its id, or a copy's negative number; bytes on the wire; the payload that replaces its own
(empty: unchanged, MARKED: only gets CE); when its delay has passed (ns); the first bytes of its IP header where a
queue discipline looks at them (else empty)."""

MARKED: Final = b"CE"
HEADER_BYTES: Final = 64
"""Bytes that disciplines look at: an IPv4 header without options or an IPv6 header, and the ports."""
NOT_ECT, CE = 0, 3
"""ECN bits of an IP header (RFC 3168): not ECN-capable; congestion experienced."""
_PORTS: Final = (6, 17, 33, 132)
"""Protocols whose header begins with two ports: TCP, UDP, DCCP, SCTP."""


def wire_bytes(length: int, mtu: int = MTU) -> int:
    """Bytes of the Ethernet frames, as qdiscs count them, of a packet or a super-packet of TCP segments."""
    if length <= mtu:
        return length + ETHERNET
    segments = -(-(length - HEADERS) // full_segment(mtu))
    return length + ETHERNET + (segments - 1) * (HEADERS + ETHERNET)


def counted_bytes(size: int, overhead: int, frame: int = FRAME) -> int:
    """What a rate counts for ``size`` bytes on the wire, with ``overhead`` bytes added per frame."""
    return max(1, size + overhead * -(-size // frame))


def flipped(payload: bytes, random: Random) -> bytes:
    """The packet with one random bit flipped; empty if that is in its IP header, because a host would drop it.

    The kernel has checked the header before we see the packet, so it would not notice the change.
    """
    header = 40 if payload[0] >> 4 == 6 else (payload[0] & 15) * 4
    place = random.randrange(len(payload))
    if place < header:
        return b""
    changed = bytearray(payload)
    changed[place] ^= 1 << random.randrange(8)
    return bytes(changed)


def ecn(header: bytes) -> int:
    """The two ECN bits of an IP header; NOT_ECT without a header."""
    if len(header) < 2:
        return NOT_ECT
    return header[1] >> 4 & 3 if header[0] >> 4 == 6 else header[1] & 3


def marked(packet: Packet) -> Packet | None:
    """The packet with CE in its header; None where it is not ECN-capable, or its header is unknown."""
    leaves, number, size, payload, ready, header = packet
    if (bits := ecn(header)) in (NOT_ECT, CE):
        return packet if bits else None
    return leaves, number, size, with_ce(payload) if payload else MARKED, ready, with_ce(header)


def with_ce(packet: bytes) -> bytes:
    """An IP packet with CE in its header, and an updated IPv4 checksum (RFC 1624)."""
    changed = bytearray(packet)
    if packet[0] >> 4 == 6:
        changed[1] |= CE << 4
        return bytes(changed)
    changed[1] |= CE
    if len(packet) >= 12:
        total = (~int.from_bytes(packet[10:12]) & 0xFFFF) + changed[1] + (0xFFFF ^ packet[1])
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        changed[10:12] = (~total & 0xFFFF).to_bytes(2)
    return bytes(changed)


def flow_key(header: bytes) -> bytes:
    """What identifies a packet's flow: addresses, protocol and, where known, ports."""
    if len(header) < 20:
        return b""
    if header[0] >> 4 == 6:
        protocol, ends, begin = header[6], header[8:40], 40
    else:
        protocol, ends, begin = header[9], header[12:20], (header[0] & 15) * 4
        if header[6] & 0x3F or header[7]:  # a fragment: only the first one has ports
            begin = len(header)
    ports = header[begin : begin + 4] if protocol in _PORTS else b""
    return bytes((protocol,)) + ends + ports
