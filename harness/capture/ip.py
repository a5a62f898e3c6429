"""IP packets as bytes: how long they are, where their transport header is, what stays of them over a link."""

from __future__ import annotations

from typing import Final, NamedTuple

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
_CHECKSUM: Final = {TCP: 16, UDP: 6}
_EXTENSIONS: Final = (0, 43, 60)
_FRAGMENT: Final = 44
_HEADER6: Final = 40


class Packet(NamedTuple):
    """What the headers say.

    Args:
        version: 4 or 6.
        src: the source's address, as bytes.
        dst: the destination's.
        protocol: of the transport header, e.g. TCP.
        start: where that begins.
        end: where the packet does.
        fragment: bytes of the whole packet before this fragment; 0 also where it is none.
    """

    version: int
    src: bytes
    dst: bytes
    protocol: int
    start: int
    end: int
    fragment: int


def length_of(data: bytes) -> int:
    """Bytes of the packet, from its header on, whatever was copied of it.

    A super-packet of over 64 kB says 0 in its header (BIG TCP): then as many as were copied.
    """
    if len(data) >= 20 and data[0] >> 4 == 4:
        return int.from_bytes(data[2:4]) or len(data)
    if len(data) >= _HEADER6 and data[0] >> 4 == 6 and (size := int.from_bytes(data[4:6])):
        return size + _HEADER6
    return len(data)


def parse(data: bytes) -> Packet | None:
    """The headers of a packet; None where too little was copied, or it is none."""
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
    """What of a packet is the same at both ends of a link: ECN's bits are not, nor checksums (computed late)."""
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
