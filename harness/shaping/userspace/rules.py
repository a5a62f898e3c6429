"""Which packets of the current network namespace go to which queue: nf_tables rules at raw PREROUTING, by source.

A packet whose queue has no listener is dropped by the kernel: a link whose process is gone is no fast link; and so is
what no rule and not the guard (guard.py) lets pass.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from harness.linux.host import has_ipv6
from harness.netlink import nftables as nft
from harness.netlink.channel import Refusal, Request
from harness.netlink.nfnetlink import NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV, WHOLE, Nfnetlink
from harness.shaping.userspace.guard import (
    FAMILY,
    FRAMES,
    SOURCE,
    TABLE,
    Guard,
    GuardChain,
    frames_chain,
    links_chain,
    own_chain,
)

CHAIN: Final = "links"
NATIVE: Final = "nft queue"
COMPAT: Final = "nft_compat NFQUEUE"

_WORDS: Final = {NFPROTO_IPV4: "IPv4", NFPROTO_IPV6: "IPv6", NFPROTO_NETDEV: "frames"}
_NO_SUCH_FAMILY: Final = (errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EINVAL, errno.ENOENT)
_native: list[bool] = []
"""Whether the kernel has nft's own queue expression; empty until it was asked."""
_frames: list[int | None] = []
"""At which hook the kernel shows frames, or None; empty until it was asked."""

RuleStep = tuple[str, Request]
"""What is being done, in words, and the message that does it."""


@dataclass(frozen=True)
class Rule:
    """Packets of one source wait in one queue.

    Args:
        source: the packets' source address.
        queue: the queue's number; None: they cross an unshaped edge, and pass.
        packets: that the kernel has counted; super-packets count once.
        bytes: that the kernel has counted, from the network header on.
        handle: by which the kernel knows it; 0 where it is not from there.
    """

    source: IPv4Address | IPv6Address
    queue: int | None
    packets: int = 0
    bytes: int = 0
    handle: int = 0


@dataclass(frozen=True)
class Rules:
    """What the kernel has.

    Args:
        rooted: whether the guard's chains are there, begin with the guard's rules, and have no rule that is not ours.
        rules: in the order in which the kernel tries them; of two with one source, the first is the one that acts.
    """

    rooted: bool
    rules: tuple[Rule, ...]


def install(netlink: Nfnetlink, guard: Guard, rules: Iterable[Rule]) -> str:
    """Make these rules the only ones, in one transaction: at no moment are there fewer than before or after it.

    Packets that wait in a queue of rules that were there before are dropped by the kernel.

    Args:
        netlink: opened in the network namespace whose packets are meant.
        guard: of the interface whose packets are queued.
        rules: their counters are ignored.

    Returns:
        How packets come into queues: NATIVE or COMPAT.

    Raises:
        OSError: what was being done, and the kernel's words.
    """
    steps = [*_stale(netlink), *_base(netlink, guard)]
    return _perform(netlink, steps, rules)


def add(netlink: Nfnetlink, rules: Iterable[Rule], old: Iterable[Rule] = ()) -> str:
    """Append rules to those that are there, and delete others, in one transaction. Returns and raises as install."""
    steps = [
        (f"replace the rule for {rule.source}", nft.delete_rule(FAMILY[rule.source.version], TABLE, CHAIN, rule.handle))
        for rule in old
    ]
    return _perform(netlink, steps, rules)


def remove(netlink: Nfnetlink) -> None:
    """Delete all that install and add made, if it is there. Raises OSError."""
    _send(netlink, list(_stale(netlink)))


def read(netlink: Nfnetlink, guard: Guard) -> Rules:
    """What the kernel has, read from the rules' expressions. Raises OSError where it has no nf_tables.

    Args:
        netlink: opened in the network namespace that is meant.
        guard: that should be there.
    """
    rooted, found = True, []
    for wanted in _chains(netlink, guard):
        family, name = wanted.family, wanted.chain.name
        ours = wanted.chain in [nft.read_chain(body) for body in _dump(netlink, nft.chains_request(family))]
        bodies = _dump(netlink, nft.rules_request(family, TABLE, name)) if ours else ()
        present = [nft.read_rule(body) for body in bodies]
        rules = [_rule(family, one) if name == CHAIN else None for one in present]
        others = [one.expressions for one, rule in zip(present, rules, strict=True) if rule is None]
        leading = [one.expressions for one in present[: len(wanted.rules)]]
        rooted = rooted and ours and leading == list(wanted.rules) == others
        found += [rule for rule in rules if rule is not None]
    return Rules(rooted, tuple(found))


def sees_frames(netlink: Nfnetlink) -> bool:
    """Whether this kernel's nf_tables can drop frames that are neither IP nor ARP. Raises OSError."""
    return _frames_hook(netlink) is not None


def _versions() -> list[int]:
    return [4, 6] if has_ipv6() else [4]


def _chains(netlink: Nfnetlink, guard: Guard) -> Iterator[GuardChain]:
    for version in _versions():
        yield links_chain(guard, version)
        yield own_chain(guard, version)
    if (hook := _frames_hook(netlink)) is not None:
        yield frames_chain(guard, hook)


def _stale(netlink: Nfnetlink) -> Iterator[RuleStep]:
    """Deletes the tables that are there.

    To make one and delete it in the same transaction would need no look, but keeps the kernel busy for an RCU grace
    period, for which the next transaction and the closing of the socket wait (10 to 30 ms).
    """
    for family, word in _WORDS.items():
        if TABLE in [nft.read_table(body) for body in _dump(netlink, nft.tables_request(family))]:
            yield f"delete the table for {word}", nft.delete_table(family, TABLE)


def _base(netlink: Nfnetlink, guard: Guard) -> Iterator[RuleStep]:
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
        case (nft.Payload() as place, nft.Compare(value, False), nft.Counter(packets, size), act):
            version = 4 if family == NFPROTO_IPV4 else 6
            if place == SOURCE[version] and len(value) == place.length and isinstance(act, nft.Queue | nft.Accept):
                source = IPv4Address(value) if version == 4 else IPv6Address(value)
                return Rule(source, act.number if isinstance(act, nft.Queue) else None, packets, size, held.handle)
    return None


def _perform(netlink: Nfnetlink, steps: list[RuleStep], rules: Iterable[Rule]) -> str:
    native = _is_native(netlink)
    for rule in rules:
        version = rule.source.version
        act = nft.Accept() if rule.queue is None else nft.Queue(rule.queue, native)
        expressions = (SOURCE[version], nft.Compare(rule.source.packed), nft.Counter(), act)
        request = nft.add_rule(FAMILY[version], TABLE, CHAIN, expressions)
        where = "pass" if rule.queue is None else f"to queue {rule.queue}"
        steps.append((f"send packets of {rule.source} {where}", request))
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
    chain = nft.Chain(f"{TABLE}-probe", CHAIN, "filter", None, None, None)
    for native in (True, False):
        rule = nft.add_rule(NFPROTO_IPV4, chain.table, CHAIN, [nft.Queue(0, native)])
        steps = _probe(NFPROTO_IPV4, chain, ("send packets to a queue", rule))
        refusals = netlink.transaction([request for _, request in steps])
        if not refusals:
            _native.append(native)
            return native
        if (refusals[0].index, refusals[0].errno) != (2, errno.ENOENT):
            raise _error(steps, refusals[0])
    lacks = "this kernel has neither nft_queue nor nft_compat with xt_NFQUEUE"
    raise OSError(errno.ENOENT, f"send packets to a queue: {os.strerror(errno.ENOENT)} ({lacks})")


def _frames_hook(netlink: Nfnetlink) -> int | None:
    """Where this kernel's nf_tables sees frames: as they leave an interface (5.16), or as they come; asked once.

    A chain that is there says so; to make one for a moment takes milliseconds (see _stale).
    """
    if not _frames:
        present = [nft.read_chain(body) for body in _dump(netlink, nft.chains_request(NFPROTO_NETDEV))]
        _frames.extend([one.hook for one in present if (one.table, one.name) == (TABLE, FRAMES)][:1])
    if not _frames:
        for hook in (nft.EGRESS, nft.INGRESS):
            chain = nft.Chain(f"{TABLE}-probe", FRAMES, "filter", hook, nft.RAW, nft.ACCEPT, "lo")
            steps = _probe(NFPROTO_NETDEV, chain)
            refusals = netlink.transaction([request for _, request in steps])
            if refusals and refusals[0].errno not in _NO_SUCH_FAMILY:
                raise _error(steps, refusals[0])
            if not refusals:
                _frames.append(hook)
                break
        else:
            _frames.append(None)
    return _frames[0]


def _probe(family: int, chain: nft.Chain, *more: RuleStep) -> list[RuleStep]:
    """What makes a table with that chain, and deletes it."""
    return [
        (f"make a table for {_WORDS[family]}", nft.add_table(family, chain.table)),
        ("make a chain", nft.add_chain(family, chain)),
        *more,
        ("delete a table", nft.delete_table(family, chain.table)),
    ]
