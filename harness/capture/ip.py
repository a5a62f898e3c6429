"""IP packets as bytes: their length, their headers, and what is the same at both ends of a link."""

from __future__ import annotations

from typing import Final, NamedTuple

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
_CHECKSUM: Final = {TCP: 16, UDP: 6}
_EXTENSIONS: Final = (0, 43, 60)
_FRAGMENT: Final = 44
_HEADER6: Final = 40


class Packet(NamedTuple):
    """The fields of a packet's headers.

    Args:
        version: 4 or 6.
        src, dst: addresses.
        protocol: of the transport header, e.g. TCP.
        start: offset of the transport header.
        end: length of the packet.
        fragment: offset of this fragment in the whole packet; 0 also where it is no fragment.
    """

    version: int
    src: bytes
    dst: bytes
    protocol: int
    start: int
    end: int
    fragment: int


def length_of(data: bytes) -> int:
    """Length of a packet by its header, of which ``data`` may be only the first bytes.

    For a super-packet of over 64 kB, which has 0 there (BIG TCP), the length of ``data``.
    """
    if len(data) >= 20 and data[0] >> 4 == 4:
        return int.from_bytes(data[2:4]) or len(data)
    if len(data) >= _HEADER6 and data[0] >> 4 == 6 and (size := int.from_bytes(data[4:6])):
        return size + _HEADER6
    return len(data)


def parse(data: bytes) -> Packet | None:
    """The headers of a packet; None where ``data`` is too short or no IP packet."""
    end = length_of(data)
    if len(data) >= 20 and data[0] >> 4 == 4:
        start, offset = (data[0] & 15) * 4, (int.from_bytes(data[6:8]) & 0x1FFF) * 8
        return Packet(4, data[12:16], data[16:20], data[9], start, end, offset)
    if len(data) >= _HEADER6 and data[0] >> 4 == 6:
        kind, start, offset = data[6], _HEADER6, 0
        while kind in (*_EXTENSIONS, _FRAGMENT) and len(data) >= start + 8:
            if kind == _FRAGMENT:
                offset = int.from_bytes(data[start + 2 : start + 4]) & 0xFFF8
            size = 8 if kind == _FRAGMENT else (data[start + 1] + 1) * 8
            kind, start = data[start], start + size
        return Packet(6, data[8:24], data[24:40], kind, start, end, offset)
    return None


def identity(data: bytes) -> bytes:
    """The bytes of a packet with ECN bits and checksums zeroed: the rest is the same at both ends of a link."""
    packet = parse(data)
    if packet is None:
        return data
    kept = bytearray(data)
    if packet.version == 4:
        kept[1] &= 0xFC
        kept[10:12] = b"\0\0"
    else:
        kept[1] &= 0xCF
    at = packet.start + _CHECKSUM.get(packet.protocol, len(kept))
    if not packet.fragment and at + 2 <= len(kept):
        kept[at : at + 2] = b"\0\0"
    return bytes(kept)
