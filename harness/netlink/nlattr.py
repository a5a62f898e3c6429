"""Netlink messages and attributes as bytes (linux/netlink.h), for what pyroute2 lacks or does too slowly."""

from __future__ import annotations

import socket
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


def text(kind: int, value: str) -> bytes:
    """An attribute with a string."""
    return attr(kind, value.encode() + b"\0")


def word(kind: int, value: int) -> bytes:
    """An attribute with an unsigned 32-bit integer, in the host's byte order."""
    return attr(kind, struct.pack("=I", value))


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
    """Attributes by type; where a type occurs twice, the last."""
    return dict(each(data))


def string(found: dict[int, memoryview], kind: int) -> str:
    """The text in an attribute; empty where it is missing."""
    return bytes(found.get(kind, b"")).rstrip(b"\0").decode(errors="replace")


def address_family(version: int) -> int:
    """Of IP version 4 or 6."""
    return socket.AF_INET if version == 4 else socket.AF_INET6
