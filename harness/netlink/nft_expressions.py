"""nf_tables expressions as netlink bytes and back (linux/netfilter/nf_tables.h, nf_tables_compat.h, xt_NFQUEUE.h).

A rule is a tuple of expressions, which the kernel evaluates from left to right until one does not match.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from harness.netlink.nfnetlink import integer, nest
from harness.netlink.nlattr import attr, attrs, string, text

DROP, ACCEPT = 0, 1
"""Verdicts, and policies of chains."""
MARK, IIF, OIF, SKUID, PKTTYPE = 3, 4, 5, 10, 19
"""Keys of Meta."""
LINK, NETWORK, TRANSPORT = 0, 1, 2
"""Headers, the bases of Payload."""

_REGISTER: Final = 1
_EQUAL, _UNEQUAL = 0, 1
_NFQ_INFO: Final = struct.Struct("=3H2x")
_NFQUEUE: Final = "NFQUEUE"
_REVISION: Final = 3
_INTERNET_CHECKSUM: Final = 1


@dataclass(frozen=True, slots=True)
class Meta:
    """Load what the kernel knows of the packet: its MARK, the index of the interface by which it arrives (IIF) or
    leaves (OIF), the user who owns its socket (SKUID), whom the frame addresses (PKTTYPE; 0: this host alone)."""

    key: int


@dataclass(frozen=True, slots=True)
class Payload:
    """Load bytes of the packet; ``offset`` counts from the start of a header (LINK, NETWORK, TRANSPORT)."""

    base: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Mask:
    """Keep only the bits of ``value``, then invert those of ``turned`` (empty: none)."""

    value: bytes
    turned: bytes = b""


@dataclass(frozen=True, slots=True)
class Write:
    """Write what was loaded into the packet.

    Args:
        offset: where, counted from the start of the network header.
        length: bytes.
        checksum: offset of the 16-bit checksum to update (as in an IPv4 header); None: there is none.
    """

    offset: int
    length: int
    checksum: int | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    """Go on only if what was loaded equals ``value``; with ``differs``, only if it does not."""

    value: bytes
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Counter:
    """Count packets, and their bytes from the network header on."""

    packets: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class ToQueue:
    """Hand the packet to an NFQUEUE; the kernel drops it where nobody listens there.

    Args:
        number: of the queue.
        native: by nft's own expression; else by iptables' NFQUEUE through nft_compat.
    """

    number: int
    native: bool = True


@dataclass(frozen=True, slots=True)
class Log:
    """Send a copy of the packet to a group of NFLOG, and go on.

    Args:
        group: 1 to 65535.
        most: bytes to copy at most, from the network header on; 0: all.
        prefix: text that comes with the copy.
    """

    group: int
    most: int
    prefix: str


@dataclass(frozen=True, slots=True)
class Accept:
    """Let the packet pass."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Drop the packet."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """An expression that this module cannot decode; we never make one."""

    name: str


Expression = Meta | Payload | Mask | Write | Compare | Counter | ToQueue | Log | Accept | Drop | Foreign


@lru_cache(4096)
def encode(expression: Expression) -> bytes:
    """An expression as an element of a rule. Raises ValueError for a Foreign one."""
    match expression:
        case Meta(key):
            return _expression("meta", integer(2, key), integer(1, _REGISTER))
        case Payload(base, offset, length):
            place = integer(2, base) + integer(3, offset) + integer(4, length)
            return _expression("payload", integer(1, _REGISTER), place)
        case Mask(value, turned):
            registers = integer(1, _REGISTER) + integer(2, _REGISTER) + integer(3, len(value))
            other = turned or bytes(len(value))
            return _expression("bitwise", registers, nest(4, attr(1, value)), nest(5, attr(1, other)))
        case Write(offset, length, checksum):
            place = integer(2, NETWORK) + integer(3, offset) + integer(4, length) + integer(5, _REGISTER)
            follows = b"" if checksum is None else integer(6, _INTERNET_CHECKSUM) + integer(7, checksum)
            return _expression("payload", place, follows)
        case Compare(value, differs):
            operation = integer(2, _UNEQUAL if differs else _EQUAL)
            return _expression("cmp", integer(1, _REGISTER), operation, nest(3, attr(1, value)))
        case Counter(packets, size):
            return _expression("counter", attr(1, struct.pack(">Q", size)), attr(2, struct.pack(">Q", packets)))
        case ToQueue(number, native=True):
            return _expression(
                "queue", *(attr(kind, struct.pack(">H", v)) for kind, v in ((1, number), (2, 1), (3, 0)))
            )
        case ToQueue(number):
            info = _NFQ_INFO.pack(number, 1, 0)
            return _expression("target", text(1, _NFQUEUE), integer(2, _REVISION), attr(3, info))
        case Log(group, most, prefix):
            bound = [integer(3, most)] if most else []
            return _expression("log", attr(1, struct.pack(">H", group)), text(2, prefix), *bound)
        case Accept():
            return _expression("immediate", integer(1, 0), nest(2, nest(2, integer(1, ACCEPT))))
        case Drop():
            return _expression("immediate", integer(1, 0), nest(2, nest(2, integer(1, DROP))))
        case Foreign(name):
            raise ValueError(f"cannot encode the expression {name!r}")


def _expression(name: str, *data: bytes) -> bytes:
    return nest(1, text(1, name), nest(2, *data))


@lru_cache(4096)
def decode(element: bytes) -> Expression:
    """The inverse of encode."""
    expression = attrs(element)
    name = string(expression, 1)
    data = attrs(expression.get(2, b""))
    try:
        return _known(name, data) or Foreign(name)
    except (KeyError, struct.error):  # e.g. a meta that sets instead of loading
        return Foreign(name)


def _known(name: str, data: dict[int, memoryview]) -> Expression | None:
    def number(kind: int) -> int:
        return int.from_bytes(data[kind])

    match name:
        case "meta" if number(1) == _REGISTER:
            return Meta(number(2))
        case "payload" if 5 in data and (number(2), number(5)) == (NETWORK, _REGISTER):
            return Write(number(3), number(4), number(7) if 6 in data and number(6) else None)
        case "payload" if number(1) == _REGISTER:
            return Payload(number(2), number(3), number(4))
        case "bitwise" if (number(1), number(2), number(6) if 6 in data else 0) == (_REGISTER, _REGISTER, 0):
            kept, turned = (bytes(attrs(data[kind])[1]) for kind in (4, 5))
            return Mask(kept, turned if any(turned) else b"")
        case "cmp" if number(1) == _REGISTER and number(2) in (_EQUAL, _UNEQUAL):
            return Compare(bytes(attrs(data[3])[1]), number(2) == _UNEQUAL)
        case "counter":
            return Counter(number(2), number(1))
        case "queue" if number(2) == 1 and number(3) == 0:
            return ToQueue(number(1))
        case "target" if string(data, 1) == _NFQUEUE and number(2) == _REVISION:
            queue, total, flags = _NFQ_INFO.unpack_from(data[3])
            return ToQueue(queue, native=False) if (total, flags) == (1, 0) else None
        case "immediate" if number(1) == 0:
            verdicts: dict[int, Expression] = {ACCEPT: Accept(), DROP: Drop()}
            return verdicts.get(int.from_bytes(attrs(attrs(data[2])[2])[1]))
    return None
