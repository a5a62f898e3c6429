"""nf_tables objects as netlink bytes and back (linux/netfilter/nf_tables.h, nf_tables_compat.h, xt_NFQUEUE.h).

A rule is a tuple of expressions, evaluated from left to right until one does not match.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from harness.netlink.channel import Request
from harness.netlink.nfnetlink import NLM_F_APPEND, header, integer, nest, text
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr, attrs, each

PREROUTING, OUTPUT, POSTROUTING = 0, 3, 4
INGRESS, EGRESS = 0, 1
"""Hooks of the family NFPROTO_NETDEV."""
RAW: Final = -300
"""The chain's priority: before connection tracking and routing (NF_IP_PRI_RAW)."""
DROP, ACCEPT = 0, 1
MARK, IIF, OIF, SKUID, PKTTYPE = 3, 4, 5, 10, 19
LINK, NETWORK, TRANSPORT = 0, 1, 2

_SUBSYSTEM: Final = 10 << 8
_NEWTABLE, _GETTABLE, _DELTABLE, _NEWCHAIN, _GETCHAIN = (_SUBSYSTEM | number for number in range(5))
_NEWRULE, _GETRULE, _DELRULE = _SUBSYSTEM | 6, _SUBSYSTEM | 7, _SUBSYSTEM | 8
_GETGEN: Final = _SUBSYSTEM | 16
_REGISTER: Final = 1
_OWNER: Final = 1 << 1
_EQUAL, _UNEQUAL = 0, 1
_NFQ_INFO: Final = struct.Struct("=3H2x")
_NFQUEUE: Final = "NFQUEUE"
_REVISION: Final = 3
_INTERNET_CHECKSUM: Final = 1


@dataclass(frozen=True, slots=True)
class Meta:
    """Load what the kernel knows of the packet: its MARK, the index of the interface it came in by (IIF) or leaves by
    (OIF), the user whose socket it is of (SKUID), to whom the frame is (PKTTYPE: 0 to this host alone)."""

    key: int


@dataclass(frozen=True, slots=True)
class Payload:
    """Load bytes of the packet, counted from the start of a header (LINK, NETWORK, TRANSPORT)."""

    base: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Mask:
    """Keep only these bits of what was loaded, and turn those of ``turned`` over (empty: none)."""

    value: bytes
    turned: bytes = b""


@dataclass(frozen=True, slots=True)
class Write:
    """Write what was loaded into the packet, at a place counted from the start of the network header.

    Args:
        offset: of the place.
        length: bytes.
        checksum: where the 16-bit checksum stands that is to follow (as of an IPv4 header); None: there is none.
    """

    offset: int
    length: int
    checksum: int | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    """Go on only if what was loaded is this; with ``differs``, only if it is not."""

    value: bytes
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Counter:
    """Count packets, and their bytes from the network header on."""

    packets: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Queue:
    """Hand the packet to a queue, and drop it where nobody listens there.

    Args:
        number: of the queue.
        native: whether by nft's own expression, or by iptables' NFQUEUE through nft_compat.
    """

    number: int
    native: bool = True


@dataclass(frozen=True, slots=True)
class Log:
    """Hand a copy of the packet to who listens to this group of NFLOG, and go on.

    Args:
        group: 1 to 65535.
        most: bytes from the network header on that are copied at most; 0: all.
        prefix: text that comes with it.
    """

    group: int
    most: int
    prefix: str


@dataclass(frozen=True, slots=True)
class Accept:
    """Let the packet pass."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Let it vanish."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """An expression that we never make."""

    name: str


Expression = Meta | Payload | Mask | Write | Compare | Counter | Queue | Log | Accept | Drop | Foreign


@dataclass(frozen=True)
class Chain:
    """A chain as the kernel reports it; ``hook``, ``priority`` and ``policy`` are None where it is no base chain.

    Args:
        table: its table's name.
        name: its own.
        kind: ``filter`` for those we make.
        hook: where it is called.
        priority: the order among chains of that hook.
        policy: what happens to a packet that no rule decides.
        device: whose frames it sees, in the family NFPROTO_NETDEV.
    """

    table: str
    name: str
    kind: str
    hook: int | None
    priority: int | None
    policy: int | None
    device: str = ""


@dataclass(frozen=True)
class HeldRule:
    """A rule as the kernel reports it, with the number by which it can be deleted."""

    handle: int
    expressions: tuple[Expression, ...]


# To the kernel


def add_table(family: int, table: str, *, owned: bool = False) -> Request:
    """Makes a table; refused with EEXIST where it is there already.

    Args:
        family: NFPROTO_IPV4 and so on.
        table: its name.
        owned: whether it belongs to the socket that makes it, and goes with that (kernel 5.12; EOPNOTSUPP before).
    """
    flags = integer(2, _OWNER) if owned else b""
    return Request(_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, header(family) + text(1, table) + flags)


def delete_table(family: int, table: str) -> Request:
    """Deletes a table with its chains and rules."""
    return Request(_DELTABLE, 0, header(family) + text(1, table))


def add_chain(family: int, chain: Chain) -> Request:
    """Makes a chain; one with a hook is a base chain."""
    body = text(1, chain.table) + text(3, chain.name)
    if chain.hook is not None and chain.priority is not None and chain.policy is not None:
        device = text(3, chain.device) if chain.device else b""
        place = nest(4, integer(1, chain.hook), integer(2, chain.priority), device)
        body += place + integer(5, chain.policy) + text(7, chain.kind)
    return Request(_NEWCHAIN, NLM_F_CREATE, header(family) + body)


def delete_rule(family: int, table: str, chain: str, handle: int) -> Request:
    """Deletes one rule."""
    body = text(1, table) + text(2, chain) + attr(3, struct.pack(">Q", handle))
    return Request(_DELRULE, 0, header(family) + body)


def add_rule(family: int, table: str, chain: str, rule: Iterable[Expression]) -> Request:
    """Appends a rule to a chain."""
    expressions = nest(4, *map(_encoded, rule))
    body = text(1, table) + text(2, chain) + expressions
    return Request(_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, header(family) + body)


@lru_cache(4096)
def _encoded(expression: Expression) -> bytes:
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
        case Queue(number, native=True):
            return _expression(
                "queue", *(attr(kind, struct.pack(">H", v)) for kind, v in ((1, number), (2, 1), (3, 0)))
            )
        case Queue(number):
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
            raise ValueError(f"no bytes are known for expression {name!r}")


def _expression(name: str, *data: bytes) -> bytes:
    return nest(1, text(1, name), nest(2, *data))


# From the kernel


def generation_request() -> tuple[int, bytes]:
    """Type and body of the question how often nf_tables has been changed in a network namespace, by whomever."""
    return _GETGEN, header(0)


def read_generation(body: memoryview) -> int | None:
    """The number in its answer."""
    return _unsigned(attrs(body[4:]), 1)


def tables_request(family: int) -> tuple[int, bytes]:
    """Type and body of the dump of all tables of a family."""
    return _GETTABLE, header(family)


def chains_request(family: int) -> tuple[int, bytes]:
    """Type and body of the dump of all chains of a family."""
    return _GETCHAIN, header(family)


def rules_request(family: int, table: str, chain: str) -> tuple[int, bytes]:
    """Type and body of the dump of a chain's rules."""
    return _GETRULE, header(family) + text(1, table) + text(2, chain)


def read_table(body: memoryview) -> str:
    """The name in a message of the dump of tables."""
    return _string(attrs(body[4:]), 1)


def read_chain(body: memoryview) -> Chain:
    """A message of the dump of chains."""
    found = attrs(body[4:])
    hook = attrs(found.get(4, b""))
    table, name, kind = (_string(found, key) for key in (1, 3, 7))
    number, policy = (_unsigned(source, key) for source, key in ((hook, 1), (found, 5)))
    priority = struct.unpack(">i", hook[2])[0] if 2 in hook else None
    return Chain(table, name, kind, number, priority, policy, _string(hook, 3))


def read_rule(body: memoryview) -> HeldRule:
    """A message of the dump of rules."""
    found = attrs(body[4:])
    expressions = tuple(_decoded(bytes(element)) for kind, element in each(found.get(4, b"")) if kind == 1)
    return HeldRule(_unsigned(found, 3) or 0, expressions)


@lru_cache(4096)
def _decoded(element: bytes) -> Expression:
    expression = attrs(element)
    name = _string(expression, 1)
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
            return Queue(number(1))
        case "target" if _string(data, 1) == _NFQUEUE and number(2) == _REVISION:
            queue, total, flags = _NFQ_INFO.unpack_from(data[3])
            return Queue(queue, native=False) if (total, flags) == (1, 0) else None
        case "immediate" if number(1) == 0:
            verdicts: dict[int, Expression] = {ACCEPT: Accept(), DROP: Drop()}
            return verdicts.get(int.from_bytes(attrs(attrs(data[2])[2])[1]))
    return None


def _unsigned(found: dict[int, memoryview], kind: int) -> int | None:
    return int.from_bytes(found[kind]) if kind in found else None


def _string(found: dict[int, memoryview], kind: int) -> str:
    return bytes(found.get(kind, b"")).rstrip(b"\0").decode(errors="replace")
