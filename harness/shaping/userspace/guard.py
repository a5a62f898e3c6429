"""What may pass a node's interface, as nf_tables chains that drop everything else::

    ip, ip6  links    raw PREROUTING   other interfaces, neighbour discovery, from beyond the gateway (containers): pass
                                       broadcast, multicast, link-local: drop; then rules by source (rules.py)
    ip, ip6  marks    behind links     writes CE (RFC 3168) into the headers of packets that have CE_MARK
    ip, ip6  own      raw OUTPUT       other interfaces, neighbour discovery, from the node's own address: pass
    netdev   frames   egress           ARP, IPv4, IPv6 from the node's own address, on relays from any address: pass
                                       (at ingress where the kernel has no egress hook, from any address)

``own`` keeps a program from taking another edge by a source address that is not its node's, which it can use even
without privileges (IPV6_FREEBIND); packets that a relay passes on do not meet it. ``frames`` also sees what packet
sockets send.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from harness.model.address import INTERFACE
from harness.netlink import nft_expressions as expr
from harness.netlink import nftables as nft
from harness.netlink.nfnetlink import NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV
from harness.shaping.userspace.nfqueue import CE_MARK

TABLE: Final = "harness"
FRAMES: Final = "frames"
COPY_MARK: Final = 0x7C01
"""Mark of duplicates: the ``own`` chain passes them, because their source address is another node's."""
SOURCE: Final = {4: expr.Payload(expr.NETWORK, 12, 4), 6: expr.Payload(expr.NETWORK, 8, 16)}
FAMILY: Final = {4: NFPROTO_IPV4, 6: NFPROTO_IPV6}
_DROP, _PASS = expr.Drop(), expr.Accept()
_CE: Final = {
    4: (expr.Payload(expr.NETWORK, 0, 2), expr.Mask(b"\xff\xfc", b"\0\3"), expr.Write(0, 2, checksum=10)),
    6: (expr.Payload(expr.NETWORK, 0, 2), expr.Mask(b"\xff\xcf", b"\0\x30"), expr.Write(0, 2)),
}
"""Expressions that set the two ECN bits, by IP version."""
_TO_US: Final = b"\0"
_LINK_LOCAL: Final = expr.Mask(b"\xff\xc0"), b"\xfe\x80"
_ARP_FOR_IPV4: Final = b"\0\1\x08\0"
"""Hardware type Ethernet, protocol type IPv4."""
_DISCOVERY: Final = (b"\x87", b"\x88")
"""ICMPv6's types of a neighbour's solicitation and advertisement."""

Address = IPv4Address | IPv6Address
Rule = tuple[expr.Expression, ...]


@dataclass(frozen=True)
class Guard:
    """The interface and what may pass it.

    Args:
        index: of the interface; packets pass all others.
        own: the node's addresses.
        nets: of the nodes.
        gateways: on the nodes' nets; packets from these, and from outside the nets of their IP version, pass.
        relays: whether the node forwards packets of others.
        device: the interface's name.
    """

    index: int
    own: tuple[Address, ...]
    nets: tuple[IPv4Network | IPv6Network, ...] = ()
    gateways: tuple[Address, ...] = ()
    relays: bool = True
    device: str = INTERFACE


@dataclass(frozen=True)
class GuardChain:
    """A chain with the rules that it begins with."""

    family: int
    chain: nft.Chain
    rules: tuple[Rule, ...]


def links_chain(guard: Guard, version: int) -> GuardChain:
    """The chain for packets that arrive; rules.py appends the rules of the links."""
    chain = nft.Chain(TABLE, "links", "filter", nft.PREROUTING, nft.RAW, expr.DROP)
    rules = [
        _other(expr.IIF, guard),
        *_discovery(version),
        (expr.Meta(expr.PKTTYPE), expr.Compare(_TO_US, differs=True), _DROP),
    ]
    if version == 6:
        mask, value = _LINK_LOCAL
        rules.append((expr.Payload(expr.NETWORK, 24, 2), mask, expr.Compare(value), _DROP))
    return GuardChain(FAMILY[version], chain, (*rules, *_outside(guard, version)))


def marks_chain(version: int) -> GuardChain:
    """The chain that marks congestion in packets that a link has let go.

    The shaper daemon cannot change the header of a super-packet, because it would have to compute its checksums.
    """
    chain = nft.Chain(TABLE, "marks", "filter", nft.PREROUTING, nft.RAW + 1, expr.ACCEPT)
    mark = expr.Meta(expr.MARK), expr.Compare(struct.pack("=I", CE_MARK))
    place, change, written = _CE[version]
    return GuardChain(FAMILY[version], chain, ((*mark, place, change, written),))


def own_chain(guard: Guard, version: int) -> GuardChain:
    """The chain for packets that programs of the node send."""
    chain = nft.Chain(TABLE, "own", "filter", nft.OUTPUT, nft.RAW, expr.DROP)
    copies = (expr.Meta(expr.MARK), expr.Compare(struct.pack("=I", COPY_MARK)), _PASS)
    return GuardChain(
        FAMILY[version], chain, (_other(expr.OIF, guard), *_own(guard, version), *_discovery(version), copies)
    )


def frames_chain(guard: Guard, hook: int) -> GuardChain:
    """The chain for frames that leave the interface or, at ingress, arrive."""
    chain = nft.Chain(TABLE, FRAMES, "filter", hook, nft.RAW, expr.DROP, guard.device)
    rules: list[Rule] = [(*_ethertype(0x0806), expr.Payload(expr.LINK, 14, 4), expr.Compare(_ARP_FOR_IPV4), _PASS)]
    for version, ethertype in ((4, 0x0800), (6, 0x86DD)):
        if guard.relays or hook == nft.INGRESS:
            rules.append((*_ethertype(ethertype), _PASS))
        else:
            rules += [(*_ethertype(ethertype), *rule) for rule in (*_own(guard, version), *_discovery(version))]
    return GuardChain(NFPROTO_NETDEV, chain, tuple(rules))


def _ethertype(value: int) -> Rule:
    return expr.Payload(expr.LINK, 12, 2), expr.Compare(struct.pack(">H", value))


def _own(guard: Guard, version: int) -> Iterator[Rule]:
    for one in guard.own:
        if one.version == version:
            yield SOURCE[version], expr.Compare(one.packed), _PASS


def _other(key: int, guard: Guard) -> Rule:
    return expr.Meta(key), expr.Compare(struct.pack("=I", guard.index), differs=True), _PASS


def _discovery(version: int) -> Iterator[Rule]:
    """Rules for the packets that netem's filters pass, too (u32.discovery)."""
    if version == 6:
        short = expr.Payload(expr.NETWORK, 4, 1), expr.Compare(b"\0")
        believed = expr.Payload(expr.NETWORK, 6, 2), expr.Compare(b"\x3a\xff")
        for kind in _DISCOVERY:
            yield *short, *believed, expr.Payload(expr.NETWORK, 40, 1), expr.Compare(kind), _PASS


def _outside(guard: Guard, version: int) -> Iterator[Rule]:
    hosts = [one for one in guard.gateways if one.version == version]
    for one in hosts:
        yield SOURCE[version], expr.Compare(one.packed), _PASS
    if hosts:
        beyond: Rule = ()
        for net in (one for one in guard.nets if one.version == version):
            part = expr.Mask(net.netmask.packed), expr.Compare(net.network_address.packed, True)
            beyond = (*beyond, SOURCE[version], *part)
        if version == 6:
            mask, value = _LINK_LOCAL
            beyond = (*beyond, expr.Payload(expr.NETWORK, 8, 2), mask, expr.Compare(value, True))
        yield *beyond, _PASS
