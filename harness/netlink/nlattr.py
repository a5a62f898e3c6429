"""Netlink messages and attributes as bytes (linux/netlink.h).

For what pyroute2 does not do, or too slowly: NFQUEUE, nf_tables, and the figures that benchmarks/mesh.py prints.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

NLM_F_REQUEST: Final = 0x1
NLM_F_ECHO: Final = 0x8
NLM_F_ACK: Final = 0x4
NLM_F_DUMP: Final = 0x300
NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3

_HEADER: Final = struct.Struct("=IHHII")
_ATTR: Final = struct.Struct("=HH")
_TYPE_MASK: Final = 0x3FFF


def attr(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to 4 bytes."""
    length = 4 + len(payload)
    return _ATTR.pack(length, kind) + payload + bytes(-length % 4)


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """One message."""
    return _HEADER.pack(16 + len(body), kind, flags | NLM_F_REQUEST, sequence, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, int, int, memoryview]]:
    """(type, flags, sequence, body) of every message in a buffer."""
    view, offset = memoryview(data), 0
    while offset + 16 <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < 16:
            break
        yield kind, flags, sequence, view[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def each(data: memoryview | bytes) -> Iterator[tuple[int, memoryview]]:
    """(type, payload) of every attribute, in order."""
    view, offset = memoryview(data), 0
    while offset + 4 <= len(view):
        length, kind = _ATTR.unpack_from(view, offset)
        if length < 4:
            break
        yield kind & _TYPE_MASK, view[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def attrs(data: memoryview | bytes) -> dict[int, memoryview]:
    """Attributes by type; of a type that stands there twice, the last."""
    return dict(each(data))
