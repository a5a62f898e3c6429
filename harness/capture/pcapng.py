"""A pcapng file (draft-ietf-opsawg-pcapng) as bytes: an interface per point, packets from their IP header on."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Final

from harness.capture.points import Point
from harness.capture.record import Record

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_UNKNOWN_LENGTH: Final = -1
_RAW_IP: Final = 101
"""LINKTYPE_RAW."""
_NAME, _DESCRIPTION, _USER_APPLICATION, _RESOLUTION = 2, 3, 4, 9
_NANOSECONDS: Final = b"\x09"
_RECEIVED, _DROPPED = 4, 5


def header(points: Iterable[Point], most: int, application: str) -> bytes:
    """The begin of the file.

    Args:
        points: interface N is the N-th of them.
        most: bytes that are recorded of a packet; 0: all.
        application: the program that writes it.
    """
    start = struct.pack("=IHHq", _BYTE_ORDER, 1, 0, _UNKNOWN_LENGTH)
    parts = [_block(_SECTION, start, {_USER_APPLICATION: application.encode()})]
    for point in points:
        options = {_NAME: point.name.encode(), _DESCRIPTION: point.description.encode(), _RESOLUTION: _NANOSECONDS}
        parts.append(_block(_INTERFACE, struct.pack("=HHI", _RAW_IP, 0, most), options))
    return b"".join(parts)


def packet(record: Record) -> bytes:
    """One packet."""
    size = len(record.data)
    fields = (record.point, record.at >> 32, record.at & 0xFFFF_FFFF, size, max(record.length, size))
    return _block(_PACKET, struct.pack("=5I", *fields) + record.data + bytes(-size % 4), {})


def statistics(point: int, at: int, recorded: int, lost: int) -> bytes:
    """The end of the file, for each point.

    Args:
        point: its number.
        at: ns since the epoch.
        recorded: packets.
        lost: packets of the point's node that could not be recorded.
    """
    counts = {_RECEIVED: struct.pack("=Q", recorded + lost), _DROPPED: struct.pack("=Q", lost)}
    return _block(_STATISTICS, struct.pack("=III", point, at >> 32, at & 0xFFFF_FFFF), counts)


def _block(kind: int, body: bytes, options: Mapping[int, bytes]) -> bytes:
    listed = b"".join(
        struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in options.items()
    )
    whole = body + listed + (bytes(4) if options else b"")
    size = struct.pack("=I", len(whole) + 12)
    return struct.pack("=I", kind) + size + whole + size
