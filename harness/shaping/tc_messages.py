"""Netlink messages that make a node's qdisc tree, netem and tbf by pyroute2; tc_read.py reads them.

Times are in ns (netem's 64-bit fields; its old fields count ticks of 64 ns), rates in byte/s. benchmarks/mesh.py
measures what this costs. Nodes of a full mesh have the same filters, so these are encoded and decoded once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any, Final

from harness.model.distribution import table
from harness.model.link import Distribution
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr
from harness.netlink.rtnetlink import Request
from harness.shaping import leaf
from harness.shaping.caps import messages
from harness.shaping.caps.messages import raw_request, set_class
from harness.shaping.htb_class import never_limiting
from harness.shaping.qdisc import DROPPING, PASSING_UPLINK, ROOT, UPLINK, Branch, Netem, Prefix, Tbf
from harness.shaping.tc_plugin import TcOptions, encode_options
from harness.shaping.u32 import UNSHAPED, arp, by_prefix, discovery, set_filter

Address = IPv4Address | IPv6Address
RTM_NEWQDISC: Final = 36
RTM_DELTCLASS: Final = 41
_NEW: Final = NLM_F_CREATE | NLM_F_EXCL

TC_H_ROOT: Final = 0xFFFFFFFF
TICK_NS: Final = 64
U32_MAX: Final = 0xFFFFFFFF
_ETHERNET: Final = 1
"""Link layer of a rate. With it the kernel needs no rate table."""
PRIORITY: Final = {4: 2, 6: 3}
"""Of the filters of destinations, by IP version."""
_DISCOVERY_PRIORITY: Final = 1
_ARP_PRIORITY: Final = 4
_OUTSIDE_PRIORITY: Final = {4: 5, 6: 6}
DROP_CLASS: Final = ROOT | DROPPING
_DROP_HANDLE: Final = 0x7FFF_0000
_NOT_UNICAST: Final[Mapping[int, tuple[Prefix, ...]]] = {
    4: tuple(map(IPv4Network, ("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"))),
    6: tuple(map(IPv6Network, ("::/127", "fe80::/10", "ff00::/8"))),
}
"""Never beyond a gateway: loopback, link-local, multicast, broadcast."""
NETEM_LOSS_GE: Final = 2


@lru_cache(maxsize=4096)
def new_filter(index: int, prefix: Prefix, classid: int, handle: int = 0, flags: int = _NEW) -> Request:
    """The message that adds a filter, which sends packets for a prefix to a class, or changes one in place.

    Without a handle the kernel chooses one.
    """
    return set_filter(index, ROOT, PRIORITY[prefix.version], handle, by_prefix("dst", prefix, classid), flags)


def new_root(index: int) -> Iterator[Request]:
    """The messages that add the root, the class of the uplink, and filters for what is never shaped."""
    yield messages.new_root(index, DROPPING)
    yield set_class(index, UPLINK, ROOT, PASSING_UPLINK)
    for number, spec in enumerate(discovery(UNSHAPED), 1):
        yield set_filter(index, ROOT, _DISCOVERY_PRIORITY, number, spec)
    yield set_filter(index, ROOT, _ARP_PRIORITY, 3, arp())


def seal(index: int, nets: Iterable[Prefix], gateways: Iterable[Address]) -> Iterator[Request]:
    """The messages that drop what matches no filter.

    Args:
        index: of the interface.
        nets: of the nodes.
        gateways: packets to these, and beyond them, pass.
    """
    for version in sorted({way.version for way in gateways}):
        ways: list[Prefix] = [ip_network(way) for way in gateways if way.version == version]
        kept = [*(net for net in nets if net.version == version), *_NOT_UNICAST[version]]
        anywhere = ip_network("0.0.0.0/0" if version == 4 else "::/0")
        chosen = [*((net, ROOT) for net in ways), *((net, DROP_CLASS) for net in kept), (anywhere, ROOT)]
        for number, (net, classid) in enumerate(chosen, 1):
            spec = by_prefix("dst", net, classid)
            yield set_filter(index, ROOT, _OUTSIDE_PRIORITY[version], number, spec, NLM_F_CREATE)
    yield set_class(index, DROPPING, ROOT, never_limiting())
    yield request(RTM_NEWQDISC, NLM_F_CREATE, index, _DROP_HANDLE, DROP_CLASS, "blackhole")


def request(
    kind: int,
    flags: int,
    index: int,
    handle: int,
    parent: int,
    tc: str,
    options: TcOptions | None = None,
    info: int = 0,
) -> Request:
    """A message of type ``kind`` about the qdisc, class or filter ``tc`` of interface ``index``."""
    made = b"" if options is None else encode_options(tc, options)
    return raw_request(kind, flags, index, handle, parent, tc, made, info)


@lru_cache(maxsize=4)
def _table(distribution: Distribution) -> bytes:
    values = table(distribution)
    return struct.pack(f"={len(values)}h", *values)


def netem(spec: Netem, *, fresh: bool) -> TcOptions:
    """Options of a netem, with every attribute, because the kernel keeps the old value of a missing one.

    Args:
        spec: the parameters.
        fresh: whether the qdisc is new; an old one may have another jitter table, which can only be overwritten.
    """

    def ticks(ns: int) -> int:
        return min(ns // TICK_NS, U32_MAX)

    attributes: list[list[Any]] = [
        ["TCA_NETEM_CORR", (0, 0, 0)],
        ["TCA_NETEM_REORDER", (spec.reorder, 0)],
        ["TCA_NETEM_CORRUPT", (spec.corrupt, 0)],
        ["TCA_NETEM_RATE", (min(spec.rate_byte_s, U32_MAX), spec.overhead, 0, 0)],
        ["TCA_NETEM_LATENCY64", (spec.delay_ns,)],
        ["TCA_NETEM_JITTER64", (spec.jitter_ns,)],
        ["TCA_NETEM_PRNG_SEED", (spec.seed,)],
    ]
    if spec.rate_byte_s > U32_MAX:
        attributes.append(["TCA_NETEM_RATE64", (spec.rate_byte_s,)])
    if spec.chain:
        attributes.append(["TCA_NETEM_LOSS", (20, NETEM_LOSS_GE, *spec.chain)])
    if spec.jitter_ns and not (fresh and spec.distribution == "uniform"):
        attributes.append(["TCA_NETEM_DELAY_DIST", _table(spec.distribution)])
    return {
        "delay": ticks(spec.delay_ns),
        "limit": spec.limit,
        "loss": spec.loss,
        "gap": spec.gap,
        "duplicate": spec.duplicate,
        "jitter": ticks(spec.jitter_ns),
        "attrs": attributes,
    }


def tbf(spec: Tbf) -> TcOptions:
    """Options of a token bucket."""
    ticks = min(round((spec.burst + spec.overhead) / spec.rate_byte_s * 1e9 / TICK_NS), U32_MAX)
    parms = {"rate": min(spec.rate_byte_s, U32_MAX), "rate___reserved": _ETHERNET, "rate_overhead": spec.overhead}
    parms |= {"limit": spec.limit, "buffer": ticks}
    attributes: list[list[Any]] = [["TCA_TBF_PARMS", parms], ["TCA_TBF_BURST", spec.burst]]
    if spec.rate_byte_s > U32_MAX:
        attributes.append(["TCA_TBF_RATE64", spec.rate_byte_s])
    return {"attrs": attributes}


def set_leaf(index: int, branch: Branch, rate_byte_s: int, flags: int) -> Request:
    """The message that adds or changes the last qdisc of a branch, which must have one.

    Args:
        index: of the interface.
        branch: with the qdisc.
        rate_byte_s: at which packets leave it.
        flags: of the message.
    """
    assert branch.leaf is not None
    kind, options = leaf.leaf_options(branch.leaf, rate_byte_s)
    return raw_request(RTM_NEWQDISC, flags, index, branch.leaf_handle, branch.leaf_parent, kind, attr(2, options))
