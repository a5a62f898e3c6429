"""The nf_tables rules that copy a node's packets to an NFLOG group, in tables of their own::

    netdev   sent       last at eth0's egress   by destination: log   before eth0's qdiscs, so before netem
    ip, ip6  received   raw PREROUTING + 2      by source: log        behind eth0, and behind the queues of user space

Where the kernel has no egress hook (before 5.16), ``sent`` is last at POSTROUTING of ip and ip6, where the kernel takes
no timestamps.

The tables belong to a socket, and the kernel removes them with it. Before 5.12 it does not; then the next capture that
gets the same group removes the tables of a killed one, which have the group's number in their name.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from harness.errors import UnavailableError
from harness.model.address import ETHERNET, INTERFACE
from harness.netlink import nft_expressions as expr
from harness.netlink import nftables as nft
from harness.netlink.nfnetlink import NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV, Nfnetlink
from harness.netlink.nft_steps import Step, attempt, dump, refusal_error

_FAMILY: Final = {4: NFPROTO_IPV4, 6: NFPROTO_IPV6}
_ETHERTYPE: Final = {4: 0x0800, 6: 0x86DD}
_LAST: Final = 0x7FFF_FFFF
_BEHIND_LINKS: Final = nft.RAW + 2
"""Behind shaping/userspace/guard.py's chains ``links`` and ``marks``."""
_PLACES: Final = {("sent", 4): (16, 4), ("received", 4): (12, 4), ("sent", 6): (24, 16), ("received", 6): (8, 16)}
"""Offset and length of the address that a rule matches."""
_LACKING: Final = (errno.ENOENT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)
_WAYS: Final = ((True, True), (True, False), (False, False))
"""Whether tables belong to the socket, and whether the egress hook is used; from new kernels to old ones."""


def table(group: int) -> str:
    """The name of a capture's tables."""
    return f"harness-capture-{group}"


def install(netlink: Nfnetlink, group: int, points: Sequence[Mapping[str, Any]], most: int) -> None:
    """Log packets, with the number of their point as prefix, until the socket is closed.

    Args:
        netlink: the socket that owns the tables.
        group: of NFLOG.
        points: ``{"id", "side", "prefixes"}`` of points.Point.
        most: bytes of each packet; 0: all.

    Raises:
        UnavailableError: the kernel lacks a feature.
        OSError: with the failed step and the kernel's message.
    """
    remove(netlink, group)
    for owned, egress in _WAYS:
        steps = list(_steps(group, points, most, owned=owned, egress=egress))
        if not (refusals := attempt(netlink, steps)):
            return
        problem = refusal_error(steps, refusals[0])
        if problem.errno not in _LACKING:
            raise problem
    raise UnavailableError(
        f"this kernel cannot log packets of links ({problem.strerror}): harness capture needs nf_tables for IP, and"
        " NFLOG (CONFIG_NF_TABLES_IPV4, CONFIG_NF_TABLES_IPV6, CONFIG_NFT_LOG, CONFIG_NETFILTER_NETLINK_LOG)"
    )


def remove(netlink: Nfnetlink, group: int) -> None:
    """Delete a capture's tables, if any."""
    for family in (*_FAMILY.values(), NFPROTO_NETDEV):
        if table(group) in [nft.read_table(body) for body in dump(netlink, nft.tables_request(family))]:
            attempt(netlink, [("delete the tables of a capture", nft.delete_table(family, table(group)))])


def _steps(group: int, points: Sequence[Mapping[str, Any]], most: int, *, owned: bool, egress: bool) -> Iterator[Step]:
    tables, chains = set[int](), set[tuple[int, str]]()
    for point in points:
        side = str(point["side"])
        for prefix in map(ip_network, point["prefixes"]):
            at_egress = egress and side == "sent"
            family = NFPROTO_NETDEV if at_egress else _FAMILY[prefix.version]
            if family not in tables:
                tables.add(family)
                yield "make a table", nft.add_table(family, table(group), owned=owned)
            if (family, side) not in chains:
                chains.add((family, side))
                yield f"make the chain {side}", nft.add_chain(family, _chain(group, side, at_egress=at_egress))
            copied = most + ETHERNET if most and at_egress else most
            rule = (*_matching(prefix, side, at_egress=at_egress), expr.Log(group, copied, str(point["id"])))
            yield f"log packets of {prefix}", nft.add_rule(family, table(group), side, rule)


def _chain(group: int, side: str, *, at_egress: bool) -> nft.Chain:
    if at_egress:
        return nft.Chain(table(group), side, "filter", nft.EGRESS, _LAST, expr.ACCEPT, INTERFACE)
    hook, priority = (nft.POSTROUTING, _LAST) if side == "sent" else (nft.PREROUTING, _BEHIND_LINKS)
    return nft.Chain(table(group), side, "filter", hook, priority, expr.ACCEPT)


def _matching(prefix: IPv4Network | IPv6Network, side: str, *, at_egress: bool) -> tuple[expr.Expression, ...]:
    ethertype = struct.pack(">H", _ETHERTYPE[prefix.version])
    kind = (expr.Payload(expr.LINK, 12, 2), expr.Compare(ethertype)) if at_egress else ()
    place = expr.Payload(expr.NETWORK, *_PLACES[side, prefix.version])
    return *kind, place, expr.Mask(prefix.netmask.packed), expr.Compare(prefix.network_address.packed)
