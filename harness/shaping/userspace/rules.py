"""nf_tables rules that send packets to queues by their source address, at raw PREROUTING.

The kernel drops a packet whose queue has no listener, so a link whose daemon is gone does not become fast; and it drops
packets that no rule here or in guard.py lets pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from harness.linux.host import has_ipv6
from harness.netlink import nft_expressions as expr
from harness.netlink import nftables as nft
from harness.netlink.nfnetlink import NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV, Nfnetlink
from harness.netlink.nft_steps import Step, dump, perform
from harness.shaping.userspace.guard import (
    FAMILY,
    SOURCE,
    TABLE,
    Guard,
    GuardChain,
    frames_chain,
    links_chain,
    marks_chain,
    own_chain,
)
from harness.shaping.userspace.nft_features import frames_hook, has_queue

CHAIN: Final = "links"
NATIVE: Final = "nft queue"
COMPAT: Final = "nft_compat NFQUEUE"

_WORDS: Final = {NFPROTO_IPV4: "IPv4", NFPROTO_IPV6: "IPv6", NFPROTO_NETDEV: "frames"}


@dataclass(frozen=True)
class Rule:
    """Sends packets from a prefix to a queue.

    Args:
        source: prefix of the source addresses.
        queue: number of the queue; None: the edge is unshaped, and packets pass.
        packets: that the kernel has counted; a super-packet counts once.
        bytes: that the kernel has counted, from the network header on.
        handle: the kernel's; 0 for a rule that was not read from the kernel.
    """

    source: IPv4Network | IPv6Network
    queue: int | None
    packets: int = 0
    bytes: int = 0
    handle: int = 0


@dataclass(frozen=True)
class KernelRules:
    """The kernel's rules.

    Args:
        rooted: whether the guard's chains are there, begin with the guard's rules, and have no rules of others.
        rules: in the kernel's order; of two with the same source, the first acts.
    """

    rooted: bool
    rules: tuple[Rule, ...]


def install(netlink: Nfnetlink, guard: Guard, rules: Iterable[Rule]) -> str:
    """Replace all rules in one transaction. The kernel drops the packets that wait in queues of the old rules.

    Args:
        netlink: opened in the network namespace.
        guard: of the interface.
        rules: the new ones; their counters are ignored.

    Returns:
        How packets come into queues: NATIVE or COMPAT.

    Raises:
        OSError: names the step that the kernel refused.
    """
    steps = [*_stale(netlink), *_base(netlink, guard)]
    return _perform(netlink, steps, rules)


def add(netlink: Nfnetlink, rules: Iterable[Rule], old: Iterable[Rule] = ()) -> str:
    """Append rules and delete ``old`` ones, in one transaction. Returns and raises as install."""
    steps = [
        (f"replace the rule for {rule.source}", nft.delete_rule(FAMILY[rule.source.version], TABLE, CHAIN, rule.handle))
        for rule in old
    ]
    return _perform(netlink, steps, rules)


def remove(netlink: Nfnetlink) -> None:
    """Delete all that install and add have made. Raises OSError."""
    perform(netlink, list(_stale(netlink)))


def read(netlink: Nfnetlink, guard: Guard) -> KernelRules:
    """Read the kernel's rules. Raises OSError where it has no nf_tables.

    Args:
        netlink: opened in the network namespace.
        guard: the one that should be there.
    """
    rooted, found = True, []
    chains: dict[int, list[nft.Chain]] = {}
    for wanted in _chains(netlink, guard):
        family, name = wanted.family, wanted.chain.name
        if family not in chains:
            chains[family] = [nft.read_chain(body) for body in dump(netlink, nft.chains_request(family))]
        ours = wanted.chain in chains[family]
        bodies = dump(netlink, nft.rules_request(family, TABLE, name)) if ours else ()
        present = [nft.read_rule(body) for body in bodies]
        rules = [_rule(family, one) if name == CHAIN else None for one in present]
        others = [one.expressions for one, rule in zip(present, rules, strict=True) if rule is None]
        leading = [one.expressions for one in present[: len(wanted.rules)]]
        rooted = rooted and ours and leading == list(wanted.rules) == others
        found += [rule for rule in rules if rule is not None]
    return KernelRules(rooted, tuple(found))


def sees_frames(netlink: Nfnetlink) -> bool:
    """Whether this kernel's nf_tables can drop frames that are neither IP nor ARP. Raises OSError."""
    return frames_hook(netlink) is not None


def _chains(netlink: Nfnetlink, guard: Guard) -> Iterator[GuardChain]:
    for version in (4, 6) if has_ipv6() else (4,):
        yield links_chain(guard, version)
        yield marks_chain(version)
        yield own_chain(guard, version)
    if (hook := frames_hook(netlink)) is not None:
        yield frames_chain(guard, hook)


def _stale(netlink: Nfnetlink) -> Iterator[Step]:
    """Deletes the tables that are there.

    Making and deleting each in one transaction would save the dump, but costs an RCU grace period, for which the next
    transaction and the closing of the socket wait (10 to 30 ms).
    """
    for family, word in _WORDS.items():
        if TABLE in [nft.read_table(body) for body in dump(netlink, nft.tables_request(family))]:
            yield f"delete the table for {word}", nft.delete_table(family, TABLE)


def _base(netlink: Nfnetlink, guard: Guard) -> Iterator[Step]:
    made = set()
    for one in _chains(netlink, guard):
        if one.family not in made:
            yield f"make a table for {_WORDS[one.family]}", nft.add_table(one.family, TABLE)
            made.add(one.family)
        yield f"make the chain {one.chain.name}", nft.add_chain(one.family, one.chain)
        for rule in one.rules:
            yield "make the rules that guard the interface", nft.add_rule(one.family, TABLE, one.chain.name, rule)


def _rule(family: int, held: nft.HeldRule) -> Rule | None:
    match held.expressions:
        case (*match, expr.Counter(packets, size), (expr.ToQueue() | expr.Accept()) as act):
            if (source := _source(4 if family == NFPROTO_IPV4 else 6, match)) is not None:
                return Rule(source, act.number if isinstance(act, expr.ToQueue) else None, packets, size, held.handle)
    return None


def _matching(source: IPv4Network | IPv6Network) -> tuple[expr.Expression, ...]:
    compare = expr.Compare(source.network_address.packed)
    if source.prefixlen == source.max_prefixlen:
        return SOURCE[source.version], compare
    return SOURCE[source.version], expr.Mask(source.netmask.packed), compare


def _source(version: int, match: Sequence[expr.Expression]) -> IPv4Network | IPv6Network | None:
    """The inverse of _matching; None for other expressions."""
    bits = SOURCE[version].length * 8
    match match:
        case (_, expr.Compare(value)):
            length = bits
        case (_, expr.Mask(mask), expr.Compare(value)):
            length = int.from_bytes(mask).bit_count()
        case _:
            return None
    try:
        source = (IPv4Network if version == 4 else IPv6Network)((value, length))
    except ValueError:
        return None
    return source if _matching(source) == tuple(match) else None


def _perform(netlink: Nfnetlink, steps: list[Step], rules: Iterable[Rule]) -> str:
    native = has_queue(netlink)
    for rule in rules:
        version = rule.source.version
        act = expr.Accept() if rule.queue is None else expr.ToQueue(rule.queue, native)
        expressions = (*_matching(rule.source), expr.Counter(), act)
        request = nft.add_rule(FAMILY[version], TABLE, CHAIN, expressions)
        where = "pass" if rule.queue is None else f"to queue {rule.queue}"
        steps.append((f"send packets of {rule.source} {where}", request))
    perform(netlink, steps)
    return NATIVE if native else COMPAT
