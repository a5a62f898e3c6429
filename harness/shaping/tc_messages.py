"""Qdiscs and filters as pyroute2's messages; tc_read.py reads them.

Units at this edge: times in ns (netem's 64-bit fields; its old ones count ticks of 64 ns), rates in byte/s.

What this costs, and that shaping a mesh is still faster than by ``tc -batch``: benchmarks/mesh.py. The classes and
filters of a full mesh are the same in every node, so their messages are encoded and decoded once (``lru_cache``).
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
from harness.shaping.caps.messages import by_prefix, raw_request, set_class, set_filter
from harness.shaping.htb_class import never_limiting
from harness.shaping.qdisc import DROPPING, PASSING_UPLINK, ROOT, UPLINK, Branch, Netem, Prefix, Tbf
from harness.shaping.tc_plugin import TcMessage

Address = IPv4Address | IPv6Address
RTM_NEWQDISC: Final = 36
RTM_GETQDISC: Final = 38
RTM_NEWTCLASS: Final = 40
RTM_DELTCLASS: Final = 41
RTM_GETTCLASS: Final = 42
RTM_NEWTFILTER: Final = 44
RTM_DELTFILTER: Final = 45
RTM_GETTFILTER: Final = 46
_NEW: Final = NLM_F_CREATE | NLM_F_EXCL

TC_H_ROOT: Final = 0xFFFFFFFF
TICK_NS: Final = 64
U32_MAX: Final = 0xFFFFFFFF
_ETHERNET: Final = 1
"""Link layer of a rate. With it the kernel needs no rate table."""
_ETH_P = {4: 0x0800, 6: 0x86DD}
PRIORITY = {4: 2, 6: 3}
_ETH_P_ARP: Final = 0x0806
_DISCOVERY_PRIORITY: Final = 1
_ARP_PRIORITY: Final = 4
_OUTSIDE_PRIORITY: Final = {4: 5, 6: 6}
DROP_CLASS: Final = ROOT | DROPPING
_DROP_HANDLE: Final = 0x7FFF_0000
_NOT_UNICAST: Final[Mapping[int, tuple[Prefix, ...]]] = {
    4: tuple(map(IPv4Network, ("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"))),
    6: tuple(map(IPv6Network, ("::/127", "fe80::/10", "ff00::/8"))),
}
"""Never beyond a gateway: loopback, this link alone, many receivers, broadcast."""
NETEM_LOSS_GE: Final = 2
_DESTINATION_OFFSET = {4: 16, 6: 24}

Key = tuple[int, int, int]
"""Of a u32 filter: value, mask, and where the four bytes are, counted from the network header."""
TcOptions = dict[str, Any]
"""What pyroute2 encodes as TCA_OPTIONS: fields by name, and ``attrs``, a list of [name, value]."""


@lru_cache(maxsize=4096)
def new_filter(index: int, prefix: Prefix, classid: int, handle: int = 0, flags: int = _NEW) -> Request:
    """The message that adds a filter below the root, which sends destinations to a class; or changes one in place.

    Without a handle the kernel chooses one.
    """
    return set_filter(index, ROOT, PRIORITY[prefix.version], handle, by_prefix("dst", prefix, classid), flags)


def new_root(index: int) -> Iterator[Request]:
    """The messages that put the root on an interface, with the filters of what is never shaped, and the uplink."""
    yield request(RTM_NEWQDISC, _NEW, index, ROOT, TC_H_ROOT, "htb", htb_root())
    yield set_class(index, UPLINK, ROOT, PASSING_UPLINK)
    for number, (info, options) in enumerate([*discovery_filters(), arp_filter()], 1):
        yield request(RTM_NEWTFILTER, _NEW, index, number, ROOT, "u32", options, info)


def seal(index: int, nets: Iterable[Prefix], gateways: Iterable[Address]) -> Iterator[Request]:
    """The messages that drop what matches no filter.

    Args:
        index: of the interface.
        nets: those of the nodes.
        gateways: ways out of them; what goes there, or beyond, passes. None: nothing does.
    """
    for version in sorted({way.version for way in gateways}):
        info = _info(_OUTSIDE_PRIORITY[version], _ETH_P[version])
        ways: list[Prefix] = [ip_network(way) for way in gateways if way.version == version]
        kept = [*(net for net in nets if net.version == version), *_NOT_UNICAST[version]]
        anywhere = ip_network("0.0.0.0/0" if version == 4 else "::/0")
        chosen = [*((net, ROOT) for net in ways), *((net, DROP_CLASS) for net in kept), (anywhere, ROOT)]
        for number, (net, classid) in enumerate(chosen, 1):
            yield request(RTM_NEWTFILTER, NLM_F_CREATE, index, number, ROOT, "u32", _to_net(net, classid), info)
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
    made = TcMessage()
    made.update(index=index, handle=handle, parent=parent, info=info)
    made["attrs"] = [["TCA_KIND", tc]]
    if options is not None:
        made["attrs"].append(["TCA_OPTIONS", options])
    made.encode()
    return Request(kind, flags, bytes(made.data[16:]))


def dump_request(index: int, parent: int = 0) -> bytes:
    """The body of a dump request for one interface."""
    made = TcMessage()
    made.update(index=index, parent=parent)
    made.encode()
    return bytes(made.data[16:])


def htb_root() -> TcOptions:
    """Of the root: what no filter matches passes unshaped until the class is there that drops it."""
    return {"attrs": [["TCA_HTB_INIT", {"version": 3, "rate2quantum": 10, "defcls": DROPPING}]]}


@lru_cache(maxsize=4)
def _table(distribution: Distribution) -> bytes:
    values = table(distribution)
    return struct.pack(f"={len(values)}h", *values)


def netem(spec: Netem, *, fresh: bool) -> TcOptions:
    """Of a netem, every attribute sent: the kernel keeps the old value of one that is absent.

    Args:
        spec: the parameters.
        fresh: whether the qdisc is new; one that is not may have another jitter table, which can only be overwritten.
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
    """Of a token bucket."""
    ticks = min(round((spec.burst + spec.overhead) / spec.rate_byte_s * 1e9 / TICK_NS), U32_MAX)
    parms = {"rate": min(spec.rate_byte_s, U32_MAX), "rate___reserved": _ETHERNET, "rate_overhead": spec.overhead}
    parms |= {"limit": spec.limit, "buffer": ticks}
    attributes: list[list[Any]] = [["TCA_TBF_PARMS", parms], ["TCA_TBF_BURST", spec.burst]]
    if spec.rate_byte_s > U32_MAX:
        attributes.append(["TCA_TBF_RATE64", spec.rate_byte_s])
    return {"attrs": attributes}


def set_leaf(index: int, branch: Branch, rate_byte_s: int, flags: int) -> Request:
    """The message that adds or changes the last qdisc of a branch that has one.

    Args:
        index: of the interface.
        branch: whose.
        rate_byte_s: at which packets leave it.
        flags: of the message.
    """
    assert branch.leaf is not None
    kind, options = leaf.leaf_options(branch.leaf, rate_byte_s)
    return raw_request(RTM_NEWQDISC, flags, index, branch.leaf_handle, branch.leaf_parent, kind, attr(2, options))


def discovery_filters() -> list[tuple[int, TcOptions]]:
    """(tcm_info, options) of the filters that let IPv6 neighbour discovery pass unshaped, as ARP does.

    Solicitations (ICMPv6 type 135) and advertisements (136) to a node's own address would else pay its link's delay.
    Only what receivers believe (RFC 4861, 7.1: a hop limit of 255, no header between), and less than 256 bytes of it.
    """
    info = _info(_DISCOVERY_PRIORITY, _ETH_P[6])
    believed = _ethertype(_ETH_P[6]), (0x00003AFF, 0xFF00FFFF, 4)
    return [(info, _u32(ROOT, *believed, (kind << 24, 0xFF000000, 40))) for kind in (135, 136)]


def arp_filter() -> tuple[int, TcOptions]:
    """(tcm_info, options) of the filter that lets ARP for IPv4 on Ethernet pass unshaped."""
    return _info(_ARP_PRIORITY, _ETH_P_ARP), _u32(ROOT, _ethertype(_ETH_P_ARP), (0x00010800, U32_MAX, 0))


def _ethertype(value: int) -> Key:
    """What the frame itself says: who sends by a packet socket may tell the kernel something else."""
    return value, 0x0000FFFF, -4


def _to_net(net: Prefix, classid: int) -> TcOptions:
    start, mask = _DESTINATION_OFFSET[net.version], net.netmask.packed
    words = [(net.network_address.packed[at : at + 4], mask[at : at + 4], start + at) for at in range(0, len(mask), 4)]
    keys = [(int.from_bytes(value), int.from_bytes(part), at) for value, part, at in words if any(part)]
    return _u32(classid, *(keys or [(0, 0, start)]))


def _u32(classid: int, *keys: Key) -> TcOptions:
    return {"attrs": [["TCA_U32_CLASSID", classid], ["TCA_U32_SEL", {"keys": keys}]]}


def filter_info(version: int) -> int:
    """The tcm_info of a filter: priority and protocol (big-endian)."""
    return _info(PRIORITY[version], _ETH_P[version])


def _info(priority: int, protocol: int) -> int:
    return priority << 16 | ((protocol & 0xFF) << 8 | protocol >> 8)
