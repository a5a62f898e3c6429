"""Traffic-control objects as netlink bytes and back (linux/pkt_sched.h, linux/pkt_cls.h, net/sched/sch_netem.c).

Units at this edge: times in ns (netem's 64-bit fields; its old ones count ticks of 64 ns), rates in byte/s.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from harness.model.distribution import table
from harness.model.link import Distribution
from harness.model.status import Stats
from harness.netlink.nlattr import attr, attrs
from harness.shaping.qdisc import ROOT, UNLIMITED, Netem, Tbf

RTM_NEWLINK: Final = 16
RTM_NEWQDISC: Final = 36
RTM_DELQDISC: Final = 37
RTM_GETQDISC: Final = 38
RTM_NEWTCLASS: Final = 40
RTM_DELTCLASS: Final = 41
RTM_GETTCLASS: Final = 42
RTM_NEWTFILTER: Final = 44
RTM_DELTFILTER: Final = 45
RTM_GETTFILTER: Final = 46

TC_H_ROOT: Final = 0xFFFFFFFF
TICK_NS: Final = 64
U32_MAX: Final = 0xFFFFFFFF
CLASS_BURST_SECONDS: Final = 160e-6
"""Depth of a class's bucket: 400 kB at 20 Gbit/s, which measured as not limiting."""

_TCMSG: Final = struct.Struct("=BxxxiIII")
_RATESPEC: Final = struct.Struct("=BBHhHI")
_LINKLAYER_ETHERNET: Final = 1
_KIND, _OPTIONS, _STATS2 = 1, 2, 7
_NETEM_QOPT: Final = struct.Struct("=6I")
_CORR, _DELAY_DIST, _REORDER, _CORRUPT, _LOSS, _RATE = 1, 2, 3, 4, 5, 6
_RATE64, _LATENCY64, _JITTER64, _PRNG_SEED = 8, 10, 11, 14
_LOSS_GE = 2
_ETH_P = {4: 0x0800, 6: 0x86DD}
_PRIORITY = {4: 2, 6: 3}
_DISCOVERY_PRIORITY: Final = 1
_U32_CLASSID, _U32_SEL = 1, 5
_U32_SEL_HEADER: Final = struct.Struct("=BBBxHHhhI")
_U32_KEY: Final = struct.Struct("=4s4sii")
_DST_OFFSET = {4: 16, 6: 24}


@dataclass(frozen=True)
class Object:
    """One qdisc, class or filter as the kernel tells it."""

    kind: str
    ifindex: int
    handle: int
    parent: int
    info: int
    options: memoryview
    stats2: memoryview

    @property
    def stats(self) -> Stats:
        """Its counters (TCA_STATS2: BASIC 1, QUEUE 3, and PKT64 8 where BASIC cannot count the packets)."""
        nested = attrs(self.stats2)
        sent_bytes, packets = struct.unpack_from("=QI", nested.get(1, bytes(12)))
        if 8 in nested:
            packets = struct.unpack_from("=Q", nested[8])[0]
        backlog_packets, backlog, drops = struct.unpack_from("=3I", nested.get(3, bytes(12)))
        return Stats(packets, sent_bytes, drops, backlog, backlog_packets)


def tcmsg(ifindex: int, handle: int, parent: int, info: int, kind: str, options: bytes | None) -> bytes:
    """The body of a traffic-control message."""
    body = _TCMSG.pack(0, ifindex, handle, parent, info) + attr(_KIND, kind.encode() + b"\0")
    return body if options is None else body + attr(_OPTIONS, options)


def dump_request(ifindex: int, parent: int = 0) -> bytes:
    """The body of a dump request for one interface."""
    return _TCMSG.pack(0, ifindex, 0, parent, 0)


def max_segments(ifindex: int, segments: int) -> bytes:
    """The body of a request that limits the super-packets of sockets opened from now on (IFLA_GSO_MAX_SEGS)."""
    return struct.pack("=BxHiII", 0, 0, ifindex, 0, 0) + attr(40, struct.pack("=I", segments))


def read(body: memoryview) -> Object:
    """A message of a dump."""
    _, ifindex, handle, parent, info = _TCMSG.unpack_from(body)
    found = attrs(body[_TCMSG.size :])
    kind = bytes(found.get(_KIND, b"")).rstrip(b"\0").decode()
    empty = memoryview(b"")
    return Object(kind, ifindex, handle, parent, info, found.get(_OPTIONS, empty), found.get(_STATS2, empty))


# htb


def htb_root() -> bytes:
    """Options of the root: what no filter matches passes unshaped (default 0)."""
    return attr(2, struct.pack("=5I", 3, 10, 0, 0, 0))


@lru_cache(maxsize=8)
def htb_class(rate_byte_s: int) -> bytes:
    """Options of a class that never limits what its netem lets through."""
    rate = max(UNLIMITED.byte_s, 2 * rate_byte_s)
    spec = _RATESPEC.pack(0, _LINKLAYER_ETHERNET, 0, 0, 0, min(rate, U32_MAX))
    ticks = round(CLASS_BURST_SECONDS * 1e9 / TICK_NS)
    quantum = 60_000
    options = attr(1, spec + spec + struct.pack("=5I", ticks, ticks, quantum, 0, 0))
    if rate > U32_MAX:
        options += attr(6, struct.pack("=Q", rate)) + attr(7, struct.pack("=Q", rate))
    return options


# netem


@lru_cache(maxsize=4)
def _table(distribution: Distribution) -> bytes:
    values = table(distribution)
    return attr(_DELAY_DIST, struct.pack(f"={len(values)}h", *values))


def netem(spec: Netem, *, fresh: bool) -> bytes:
    """Netem's options, every attribute sent: the kernel keeps the old value of one that is absent.

    Args:
        spec: the parameters.
        fresh: whether the qdisc is new; one that is not may hold another jitter table, which can only be overwritten.
    """

    def ticks(ns: int) -> int:
        return min(ns // TICK_NS, U32_MAX)

    options = _NETEM_QOPT.pack(
        ticks(spec.delay_ns), spec.limit, spec.loss, spec.gap, spec.duplicate, ticks(spec.jitter_ns)
    )
    options += attr(_CORR, bytes(12))
    options += attr(_REORDER, struct.pack("=2I", spec.reorder, 0))
    options += attr(_CORRUPT, struct.pack("=2I", spec.corrupt, 0))
    options += attr(_RATE, struct.pack("=IiIi", min(spec.rate_byte_s, U32_MAX), 0, 0, 0))
    if spec.rate_byte_s > U32_MAX:
        options += attr(_RATE64, struct.pack("=Q", spec.rate_byte_s))
    options += attr(_LATENCY64, struct.pack("=q", spec.delay_ns))
    options += attr(_JITTER64, struct.pack("=q", spec.jitter_ns))
    options += attr(_PRNG_SEED, struct.pack("=Q", spec.seed))
    if spec.chain:
        options += attr(_LOSS, attr(_LOSS_GE, struct.pack("=4I", *spec.chain)))
    if spec.jitter_ns and not (fresh and spec.distribution == "uniform"):
        options += _table(spec.distribution)
    return options


def read_netem(options: memoryview) -> Netem:
    """What a netem holds. The jitter table and the seed are not told by every kernel and left out."""
    delay, limit, loss, gap, duplicate, jitter = _NETEM_QOPT.unpack_from(options)
    found = attrs(options[_NETEM_QOPT.size :])

    def first(kind: int, layout: str, default: int) -> int:
        return int(struct.unpack_from(layout, found[kind])[0]) if kind in found else default

    chain = attrs(found[_LOSS]).get(_LOSS_GE) if _LOSS in found else None
    rate = first(_RATE, "=I", 0)
    return Netem(
        delay_ns=first(_LATENCY64, "=q", delay * TICK_NS),
        jitter_ns=first(_JITTER64, "=q", jitter * TICK_NS),
        limit=limit,
        loss=0 if chain else loss,
        chain=struct.unpack("=4I", chain) if chain else None,
        duplicate=duplicate,
        corrupt=first(_CORRUPT, "=I", 0),
        reorder=first(_REORDER, "=I", 0),
        gap=gap,
        rate_byte_s=first(_RATE64, "=Q", rate),
    )


# tbf


def tbf(spec: Tbf) -> bytes:
    """Options of a token bucket."""
    rate = _RATESPEC.pack(0, _LINKLAYER_ETHERNET, 0, 0, 0, min(spec.rate_byte_s, U32_MAX))
    ticks = min(round(spec.burst / spec.rate_byte_s * 1e9 / TICK_NS), U32_MAX)
    options = attr(1, rate + bytes(_RATESPEC.size) + struct.pack("=3I", spec.limit, ticks, 0))
    if spec.rate_byte_s > U32_MAX:
        options += attr(4, struct.pack("=Q", spec.rate_byte_s))
    return options + attr(6, struct.pack("=I", spec.burst))


def read_tbf(options: memoryview) -> Tbf:
    """What a token bucket holds; its burst is told as ticks and rounded to bytes."""
    found = attrs(options)
    rate = struct.unpack_from("=I", found[1], 8)[0]
    limit, ticks = struct.unpack_from("=2I", found[1], 2 * _RATESPEC.size)
    rate = struct.unpack_from("=Q", found[4])[0] if 4 in found else rate
    return Tbf(rate, round(ticks * TICK_NS * rate / 1e9), limit)


# u32


def discovery_filters() -> list[tuple[int, bytes]]:
    """(tcm_info, options) of the filters that let IPv6 neighbour discovery pass unshaped, as ARP does.

    Solicitations (ICMPv6 type 135) and advertisements (136) to a node's own address would else pay its link's delay.
    """
    filters = []
    for icmp_type in (135, 136):
        keys = [_U32_KEY.pack(b"\0\0\xff\0", b"\0\0\x3a\0", 4, 0)]  # next header: ICMPv6
        keys.append(_U32_KEY.pack(b"\xff\0\0\0", bytes((icmp_type, 0, 0, 0)), 40, 0))
        options = attr(_U32_CLASSID, struct.pack("=I", ROOT)) + attr(_U32_SEL, _selector(keys))
        filters.append((_info(_DISCOVERY_PRIORITY, _ETH_P[6]), options))
    return filters


def _selector(keys: list[bytes]) -> bytes:
    terminal = 1
    return _U32_SEL_HEADER.pack(terminal, 0, len(keys), 0, 0, 0, 0, 0) + b"".join(keys)


def u32_filter(destination: IPv4Address | IPv6Address, classid: int) -> bytes:
    """Options of a filter that sends one destination to a class."""
    version = destination.version
    address, start = destination.packed, _DST_OFFSET[version]
    keys = [_U32_KEY.pack(b"\xff" * 4, address[at : at + 4], start + at, 0) for at in range(0, len(address), 4)]
    return attr(_U32_CLASSID, struct.pack("=I", classid)) + attr(_U32_SEL, _selector(keys))


def filter_info(version: int) -> int:
    """The tcm_info of a filter: priority and protocol (big-endian)."""
    return _info(_PRIORITY[version], _ETH_P[version])


def _info(priority: int, protocol: int) -> int:
    return priority << 16 | ((protocol & 0xFF) << 8 | protocol >> 8)


def read_u32(options: memoryview) -> tuple[IPv4Address | IPv6Address, int] | None:
    """(destination, classid) of a filter that we made; None for hash tables and others' filters."""
    found = attrs(options)
    if _U32_SEL not in found or _U32_CLASSID not in found:
        return None
    selector = found[_U32_SEL]
    count = _U32_SEL_HEADER.unpack_from(selector)[2]
    keys = [_U32_KEY.unpack_from(selector, _U32_SEL_HEADER.size + i * _U32_KEY.size) for i in range(count)]
    address = b"".join(value for _, value, _, _ in keys)
    classid = struct.unpack_from("=I", found[_U32_CLASSID])[0]
    if len(address) == 4:
        return IPv4Address(address), classid
    return (IPv6Address(address), classid) if len(address) == 16 else None
