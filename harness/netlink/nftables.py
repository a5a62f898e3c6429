"""nf_tables' tables, chains and rules as netlink messages (linux/netfilter/nf_tables.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from harness.netlink.channel import Request
from harness.netlink.nfnetlink import NLM_F_APPEND, header, integer, nest
from harness.netlink.nft_expressions import Expression, decode, encode
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr, attrs, each, string, text

PREROUTING, OUTPUT, POSTROUTING = 0, 3, 4
INGRESS, EGRESS = 0, 1
"""Hooks of the family NFPROTO_NETDEV."""
RAW: Final = -300
"""A chain's priority: before connection tracking and routing (NF_IP_PRI_RAW)."""

_SUBSYSTEM: Final = 10 << 8
_NEWTABLE, _GETTABLE, _DELTABLE, _NEWCHAIN, _GETCHAIN = (_SUBSYSTEM | number for number in range(5))
_NEWRULE, _GETRULE, _DELRULE = _SUBSYSTEM | 6, _SUBSYSTEM | 7, _SUBSYSTEM | 8
_GETGEN: Final = _SUBSYSTEM | 16
_OWNER: Final = 1 << 1


@dataclass(frozen=True)
class Chain:
    """A chain; ``hook``, ``priority`` and ``policy`` are None unless it is a base chain.

    Args:
        table: name of its table.
        name: its own name.
        kind: ``filter`` for those we make.
        hook: where the kernel calls it.
        priority: its place among the chains of that hook.
        policy: the verdict on packets for which no rule has one.
        device: the interface whose frames it sees, in the family NFPROTO_NETDEV.
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
    """A rule as the kernel reports it, with its handle, by which it can be deleted."""

    handle: int
    expressions: tuple[Expression, ...]


def add_table(family: int, table: str, *, owned: bool = False) -> Request:
    """Makes a table; the kernel answers EEXIST where there is one already.

    Args:
        family: NFPROTO_IPV4 and so on.
        table: its name.
        owned: whether it vanishes with the socket that makes it (kernel 5.12; EOPNOTSUPP before).
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
    expressions = nest(4, *map(encode, rule))
    body = text(1, table) + text(2, chain) + expressions
    return Request(_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, header(family) + body)


def generation_request() -> tuple[int, bytes]:
    """Type and body of a request for the count of changes to nf_tables in a network namespace, by anybody."""
    return _GETGEN, header(0)


def read_generation(body: memoryview) -> int | None:
    """The count in the answer."""
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
    """The table's name in a message of the dump of tables."""
    return string(attrs(body[4:]), 1)


def read_chain(body: memoryview) -> Chain:
    """The chain in a message of the dump of chains."""
    found = attrs(body[4:])
    hook = attrs(found.get(4, b""))
    table, name, kind = (string(found, key) for key in (1, 3, 7))
    number, policy = (_unsigned(source, key) for source, key in ((hook, 1), (found, 5)))
    priority = struct.unpack(">i", hook[2])[0] if 2 in hook else None
    return Chain(table, name, kind, number, priority, policy, string(hook, 3))


def read_rule(body: memoryview) -> HeldRule:
    """The rule in a message of the dump of rules."""
    found = attrs(body[4:])
    expressions = tuple(decode(bytes(element)) for kind, element in each(found.get(4, b"")) if kind == 1)
    return HeldRule(_unsigned(found, 3) or 0, expressions)


def _unsigned(found: dict[int, memoryview], kind: int) -> int | None:
    return int.from_bytes(found[kind]) if kind in found else None
