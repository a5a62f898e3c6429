"""Which packets of the current network namespace go to which queue: nf_tables rules at raw PREROUTING, by source.

A packet whose queue has no listener is dropped by the kernel: a link whose process is gone is no fast link.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from harness.linux.host import has_ipv6
from harness.netlink import nftables as nft
from harness.netlink.channel import Refusal, Request
from harness.netlink.nfnetlink import NFPROTO_IPV4, NFPROTO_IPV6, WHOLE, Nfnetlink

TABLE: Final = "harness"
CHAIN: Final = "links"
NATIVE: Final = "nft queue"
COMPAT: Final = "nft_compat NFQUEUE"

_CHAIN: Final = nft.Chain(TABLE, CHAIN, "filter", nft.PREROUTING, nft.RAW, nft.ACCEPT)
_FAMILY: Final = {4: NFPROTO_IPV4, 6: NFPROTO_IPV6}
_WORDS: Final = {NFPROTO_IPV4: "IPv4", NFPROTO_IPV6: "IPv6"}
_SOURCE: Final = {4: nft.Payload(nft.NETWORK, 12, 4), 6: nft.Payload(nft.NETWORK, 8, 16)}
_ICMPV6: Final = b"\x3a"
_SOLICITATION, _ADVERTISEMENT = b"\x87", b"\x88"
_native: list[bool] = []
"""Whether the kernel has nft's own queue expression; empty until it was asked."""

RuleStep = tuple[str, Request]
"""What is being done, in words, and the message that does it."""


@dataclass(frozen=True)
class Rule:
    """Packets of one source wait in one queue.

    Args:
        source: the packets' source address.
        queue: the queue's number.
        packets: that the kernel has counted; super-packets count once.
        bytes: that the kernel has counted, from the network header on.
    """

    source: IPv4Address | IPv6Address
    queue: int
    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Rules:
    """What the kernel holds.

    Args:
        rooted: whether the chains of every IP version are there, begin with the rules that let other interfaces' and
            neighbour discovery's packets pass, and hold no rule that is not ours.
        rules: in the order in which the kernel tries them; of two with one source, the first is the one that acts.
    """

    rooted: bool
    rules: tuple[Rule, ...]


def install(netlink: Nfnetlink, index: int, rules: Iterable[Rule]) -> str:
    """Make these rules the only ones, in one transaction: at no moment are there fewer than before or after it.

    Packets that wait in a queue of rules that were there before are dropped by the kernel.

    Args:
        netlink: opened in the network namespace whose packets are meant.
        index: of the interface whose packets are queued; those of others pass.
        rules: their counters are ignored.

    Returns:
        How packets come into queues: NATIVE or COMPAT.

    Raises:
        OSError: what was being done, and the kernel's words.
    """
    steps = [*_stale(netlink), *(step for family in _families() for step in _base(family, index))]
    return _perform(netlink, steps, rules)


def add(netlink: Nfnetlink, rules: Iterable[Rule]) -> str:
    """Append rules to those that are there, in one transaction. Returns and raises as install does."""
    return _perform(netlink, [], rules)


def remove(netlink: Nfnetlink) -> None:
    """Delete all that install and add made, if it is there. Raises OSError."""
    _send(netlink, list(_stale(netlink)))


def read(netlink: Nfnetlink, index: int) -> Rules:
    """What the kernel holds, told from the rules' expressions. Raises OSError where it has no nf_tables.

    Args:
        netlink: opened in the network namespace that is meant.
        index: of the interface whose packets should be queued.
    """
    rooted, found = True, []
    for family in _families():
        ours = _CHAIN in [nft.read_chain(body) for body in _dump(netlink, nft.chains_request(family))]
        bodies = _dump(netlink, nft.rules_request(family, TABLE, CHAIN)) if ours else ()
        held = [nft.read_rule(body) for body in bodies]
        rules = [_rule(family, expressions) for expressions in held]
        leading = _leading(family, index)
        others = [expressions for expressions, rule in zip(held, rules, strict=True) if rule is None]
        rooted = rooted and ours and held[: len(leading)] == leading == others
        found += [rule for rule in rules if rule is not None]
    return Rules(rooted, tuple(found))


def _families() -> list[int]:
    return [NFPROTO_IPV4, NFPROTO_IPV6] if has_ipv6() else [NFPROTO_IPV4]


def _stale(netlink: Nfnetlink) -> Iterator[RuleStep]:
    """Deletes the tables that are there.

    To make one and delete it in the same transaction would need no look, but keeps the kernel busy for an RCU grace
    period, for which the next transaction and the closing of the socket wait (10 to 30 ms).
    """
    for family in _families():
        if TABLE in [nft.read_table(body) for body in _dump(netlink, nft.tables_request(family))]:
            yield f"delete the table for {_WORDS[family]}", nft.delete_table(family, TABLE)


def _base(family: int, index: int) -> Iterator[RuleStep]:
    yield f"make a table for {_WORDS[family]}", nft.add_table(family, TABLE)
    yield "make a chain at raw PREROUTING", nft.add_chain(family, TABLE, CHAIN, nft.RAW)
    for rule in _leading(family, index):
        yield "make the rules that let packets pass", nft.add_rule(family, TABLE, CHAIN, rule)


def _leading(family: int, index: int) -> list[tuple[nft.Expression, ...]]:
    """The rules before those of the links: other interfaces' packets pass, and so does what ARP does for IPv4."""
    others = (nft.Meta(nft.IIF), nft.Compare(struct.pack("=I", index), differs=True), nft.Accept())
    if family == NFPROTO_IPV4:
        return [others]
    icmp = nft.Meta(nft.L4PROTO), nft.Compare(_ICMPV6), nft.Payload(nft.TRANSPORT, 0, 1)
    return [others, *((*icmp, nft.Compare(kind), nft.Accept()) for kind in (_SOLICITATION, _ADVERTISEMENT))]


def _rule(family: int, expressions: Sequence[nft.Expression]) -> Rule | None:
    match expressions:
        case (nft.Payload() as place, nft.Compare(value, False), nft.Counter(packets, size), nft.Queue(queue)):
            version = 4 if family == NFPROTO_IPV4 else 6
            if place == _SOURCE[version] and len(value) == place.length:
                source = IPv4Address(value) if version == 4 else IPv6Address(value)
                return Rule(source, queue, packets, size)
    return None


def _perform(netlink: Nfnetlink, steps: list[RuleStep], rules: Iterable[Rule]) -> str:
    native = _is_native(netlink)
    for rule in rules:
        version = rule.source.version
        queue = nft.Queue(rule.queue, native)
        expressions = (_SOURCE[version], nft.Compare(rule.source.packed), nft.Counter(), queue)
        request = nft.add_rule(_FAMILY[version], TABLE, CHAIN, expressions)
        steps.append((f"send packets of {rule.source} to queue {rule.queue}", request))
    _send(netlink, steps)
    return NATIVE if native else COMPAT


def _send(netlink: Nfnetlink, steps: Sequence[RuleStep]) -> None:
    refusals = netlink.transaction([request for _, request in steps])
    if refusals:
        raise _error(steps, refusals[0])


def _dump(netlink: Nfnetlink, request: tuple[int, bytes]) -> list[memoryview]:
    try:
        return list(netlink.dump(*request))
    except OSError as problem:
        raise OSError(problem.errno, f"read nf_tables: {problem.strerror}") from None


def _error(steps: Sequence[RuleStep], refusal: Refusal) -> OSError:
    what = "change nf_tables" if refusal.index == WHOLE else steps[refusal.index][0]
    return OSError(refusal.errno, f"{what}: {refusal.text}")


def _is_native(netlink: Nfnetlink) -> bool:
    """Which expression the kernel has, asked once per process, with a table that is gone when the answer comes.

    A refused transaction costs milliseconds (it waits for an RCU grace period), so the rules themselves do not ask.
    """
    if _native:
        return _native[0]
    table = f"{TABLE}-probe"
    for native in (True, False):
        rule = nft.add_rule(NFPROTO_IPV4, table, CHAIN, [nft.Queue(0, native)])
        steps = [
            ("make a table for IPv4", nft.add_table(NFPROTO_IPV4, table)),
            ("make a chain", nft.add_chain(NFPROTO_IPV4, table, CHAIN)),
            ("send packets to a queue", rule),
            ("delete a table", nft.delete_table(NFPROTO_IPV4, table)),
        ]
        refusals = netlink.transaction([request for _, request in steps])
        if not refusals:
            _native.append(native)
            return native
        if (refusals[0].index, refusals[0].errno) != (2, errno.ENOENT):
            raise _error(steps, refusals[0])
    lacks = "this kernel has neither nft_queue nor nft_compat with xt_NFQUEUE"
    raise OSError(errno.ENOENT, f"send packets to a queue: {os.strerror(errno.ENOENT)} ({lacks})")
