"""The netlink messages of a capacity's htb tree and back, as bytes of our own (linux/pkt_sched.h, linux/pkt_cls.h).

Without pyroute2: its message classes take 0.05 s, which every ``harness link set`` in user space would pay.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from harness.model.address import FRAME
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, attr, attrs
from harness.netlink.rtnetlink import Request
from harness.shaping.caps.tree import REST, ROOT
from harness.shaping.htb_class import HtbClass
from harness.shaping.qdisc import Prefix

RTM_NEWQDISC: Final = 36
RTM_DELQDISC: Final = 37
RTM_GETQDISC: Final = 38
RTM_NEWTCLASS: Final = 40
RTM_GETTCLASS: Final = 42
RTM_NEWTFILTER: Final = 44
RTM_DELTFILTER: Final = 45
RTM_GETTFILTER: Final = 46
INGRESS: Final = 0xFFFF_0000
"""Handle of an ingress qdisc."""
UNSHAPED: Final = ROOT
"""What a filter on the root names to let packets pass beside all classes."""

_NEW: Final = NLM_F_CREATE | NLM_F_EXCL
_TCMSG: Final = struct.Struct("=BxxxiIII")
_KIND, _OPTIONS, _STAB = 1, 2, 8
_TC_H_ROOT, _TC_H_INGRESS = 0xFFFFFFFF, 0xFFFFFFF1
_HTB_PARMS, _HTB_INIT, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 6, 7
_RATE: Final = struct.Struct("=BBHhHI")
"""struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate."""
_ETHERNET: Final = 1
"""Link layer of a rate: with it the kernel needs no rate table."""
_SIZE: Final = struct.Struct("=BBhiIIII")
"""struct tc_sizespec: cell_log, size_log, cell_align, overhead, linklayer, mpu, mtu, tsize."""
_U32_MAX: Final = 0xFFFFFFFF
_ETH_P: Final = {4: 0x0800, 6: 0x86DD}
_ETH_P_ARP: Final = 0x0806
_OFFSET: Final = {("src", 4): 12, ("dst", 4): 16, ("src", 6): 8, ("dst", 6): 24}
_U32_CLASSID, _U32_SEL, _U32_ACT = 1, 5, 7
_U32_TERMINAL: Final = 1
_KEY: Final = struct.Struct(">II4s4x")
_ACT_KIND, _ACT_OPTIONS, _ACT_PARMS, _SKBEDIT_PRIORITY = 1, 2, 2, 3
_PIPE, _STOLEN, _EGRESS_REDIRECT = 3, 4, 1
_ACTION: Final = struct.Struct("=IIiii")
_MIRRED: Final = struct.Struct("=IIiiiiI")

Key = tuple[int, int, int]
"""Of a u32 filter: value, mask, and where the four bytes are, counted from the network header."""


@dataclass(frozen=True)
class Filter:
    """A u32 filter: what it matches, and where that goes.

    Args:
        version: of IP; 0 is ARP.
        keys: all of which must match.
        classid: of a class of this device or, with ``device``, of that one; 0: none.
        device: index of the interface to which a packet that comes in is redirected; 0: it stays.
    """

    version: int
    keys: tuple[Key, ...]
    classid: int = 0
    device: int = 0


def by_prefix(end: str, prefix: Prefix, classid: int, device: int = 0) -> Filter:
    """Matches the packets whose ``src`` or ``dst`` is in it."""
    start, packed, mask = _OFFSET[end, prefix.version], prefix.network_address.packed, prefix.netmask.packed
    words = [
        (int.from_bytes(packed[at : at + 4]), int.from_bytes(mask[at : at + 4]), start + at)
        for at in range(0, len(packed), 4)
    ]
    return Filter(prefix.version, tuple(word for word in words if word[1]) or ((0, 0, start),), classid, device)


def prefix_of(end: str, spec: Filter) -> Prefix | None:
    """Whose packets a filter matches: the inverse of by_prefix; None where it matches something else."""
    size = 4 if spec.version == 4 else 16
    address, mask = bytearray(size), bytearray(size)
    for value, part, offset in spec.keys:
        at = offset - _OFFSET[end, spec.version]
        if at % 4 or not 0 <= at < size:
            return None
        address[at : at + 4], mask[at : at + 4] = value.to_bytes(4), part.to_bytes(4)
    length = int.from_bytes(mask).bit_count()
    made: Prefix
    try:
        made = IPv4Network((bytes(address), length)) if size == 4 else IPv6Network((bytes(address), length))
    except ValueError:  # bits behind the mask
        return None
    return made if made.netmask.packed == mask else None


def discovery(classid: int = 0) -> list[Filter]:
    """Match IPv6 neighbour discovery that receivers believe (see tc_messages.discovery_filters)."""
    frame = (_ETH_P[6], 0x0000FFFF, -4)
    return [
        Filter(6, (frame, (0x00003AFF, 0xFF00FFFF, 4), (kind << 24, 0xFF000000, 40)), classid) for kind in (135, 136)
    ]


def arp() -> Filter:
    """Lets ARP for IPv4 on Ethernet pass a root unshaped."""
    return Filter(0, ((_ETH_P_ARP, 0x0000FFFF, -4), (0x00010800, _U32_MAX, 0)), UNSHAPED)


def anything(version: int, classid: int = 0, device: int = 0) -> Filter:
    """Matches every packet of that version."""
    return Filter(version, ((0, 0, 0),), classid, device)


def dump_request(index: int, parent: int = 0) -> bytes:
    """The body of a dump request for one interface."""
    return _TCMSG.pack(0, index, 0, parent, 0)


def about(index: int, handle: int) -> bytes:
    """The body of a request for one qdisc or class of an interface."""
    return _TCMSG.pack(0, index, handle, 0, 0)


def header(body: memoryview) -> tuple[int, int, int, int]:
    """Interface, handle, parent and info of a message of a dump."""
    _, index, handle, parent, info = _TCMSG.unpack_from(body)
    return index, handle, parent, info


def kind_and_options(body: memoryview) -> tuple[str, memoryview]:
    """Of a message of a dump."""
    found = attrs(body[_TCMSG.size :])
    return bytes(found.get(_KIND, b"")).rstrip(b"\0").decode(), memoryview(found.get(_OPTIONS, b""))


def raw_request(
    kind: int, flags: int, index: int, handle: int, parent: int, tc: str, options: bytes = b"", info: int = 0
) -> Request:
    """A message about a qdisc, class or filter; ``options`` are whole attributes."""
    return Request(
        kind, flags, _TCMSG.pack(0, index, handle, parent, info) + attr(_KIND, tc.encode() + b"\0") + options
    )


def new_root(index: int) -> Request:
    """Adds the root; what no filter matches goes to the class REST, and passes as long as there is none."""
    made = attr(_OPTIONS, attr(_HTB_INIT, struct.pack("=5I", 3, 10, REST, 0, 0)))
    return raw_request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, ROOT, _TC_H_ROOT, "htb", made)


def set_shortening(index: int, shortening: int) -> Request:
    """Makes every frame count so many bytes less below a root that is there."""
    stab = attr(_STAB, attr(1, _SIZE.pack(0, 0, 0, -shortening, 0, 0, 0, 0))) if shortening else b""
    return raw_request(RTM_NEWQDISC, 0, index, ROOT, _TC_H_ROOT, "htb", stab)


def read_shortening(body: memoryview) -> int:
    """Of a root's message of a dump."""
    stab = attrs(attrs(body[_TCMSG.size :]).get(_STAB, b"")).get(1)
    return -_SIZE.unpack_from(stab)[3] if stab else 0


def set_class(index: int, number: int, parent: int, spec: HtbClass) -> Request:
    """Adds or changes a class below the root or another class."""
    rate, ceil = (
        _RATE.pack(0, _ETHERNET, spec.overhead, 0, 0, min(value, _U32_MAX)) for value in (spec.rate, spec.ceil)
    )
    quantum = spec.quantum or FRAME  # with 0 the kernel warns about the one that it chooses
    made = attr(_HTB_PARMS, rate + ceil + struct.pack("=5I", spec.bucket, spec.ceil_bucket, quantum, 0, 0))
    if max(spec.rate, spec.ceil) > _U32_MAX:
        made += attr(_HTB_RATE64, struct.pack("=Q", spec.rate)) + attr(_HTB_CEIL64, struct.pack("=Q", spec.ceil))
    return raw_request(RTM_NEWTCLASS, NLM_F_CREATE, index, ROOT | number, parent, "htb", attr(_OPTIONS, made))


def read_class(options: memoryview, *, leaf: bool) -> HtbClass:
    """Of the options of a class in a dump; the quantum of one that has classes below it means nothing."""
    found = attrs(options)
    parms = found[_HTB_PARMS]
    rate, ceil = _RATE.unpack_from(parms), _RATE.unpack_from(parms, _RATE.size)
    bucket, ceil_bucket, quantum, _, _ = struct.unpack_from("=5I", parms, 2 * _RATE.size)
    wide = [struct.unpack("=Q", found[name])[0] if name in found else 0 for name in (_HTB_RATE64, _HTB_CEIL64)]
    return HtbClass(wide[0] or rate[5], wide[1] or ceil[5], bucket, ceil_bucket, quantum * leaf, rate[2])


def set_leaf(index: int, number: int, kind: str, options: bytes) -> Request:
    """Adds, changes or replaces the qdisc of a class. The kernel chooses its handle: another kind needs another one."""
    flags = NLM_F_CREATE | NLM_F_REPLACE
    return raw_request(RTM_NEWQDISC, flags, index, 0, ROOT | number, kind, attr(_OPTIONS, options))


def set_root(index: int, kind: str, options: bytes) -> Request:
    """Puts another qdisc in place of the root."""
    return raw_request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index, 0, _TC_H_ROOT, kind, attr(_OPTIONS, options))


def drop_root(index: int) -> Request:
    """Removes the root, whatever it is."""
    return Request(RTM_DELQDISC, 0, _TCMSG.pack(0, index, 0, _TC_H_ROOT, 0))


def drop_ingress(index: int) -> Request:
    """Removes the ingress qdisc."""
    return Request(RTM_DELQDISC, 0, _TCMSG.pack(0, index, INGRESS, _TC_H_INGRESS, 0))


def new_ingress(index: int) -> Request:
    """Adds the qdisc that sees what comes in."""
    return raw_request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, INGRESS, _TC_H_INGRESS, "ingress")


def set_filter(index: int, parent: int, priority: int, number: int, spec: Filter, flags: int = _NEW) -> Request:
    """Adds a filter below the root (ROOT) or on what comes in (INGRESS); without flags, changes one in place."""
    keys = b"".join(_KEY.pack(mask, value, struct.pack("=i", at)) for value, mask, at in spec.keys)
    selector = attr(_U32_SEL, bytes((_U32_TERMINAL, 0, len(spec.keys))) + bytes(13) + keys)
    if spec.device:
        target = attr(_U32_ACT, _redirect(spec.device, spec.classid))
    else:
        target = attr(_U32_CLASSID, struct.pack("=I", spec.classid)) if spec.classid else b""
    made = attr(_OPTIONS, target + selector)
    return raw_request(RTM_NEWTFILTER, flags, index, number, parent, "u32", made, _info(priority, spec.version))


def drop_filter(index: int, parent: int, priority: int, handle: int, version: int) -> Request:
    """Removes a filter by its whole handle."""
    return raw_request(RTM_DELTFILTER, 0, index, handle, parent, "u32", info=_info(priority, version))


def _info(priority: int, version: int) -> int:
    protocol = _ETH_P.get(version, _ETH_P_ARP)
    return priority << 16 | ((protocol & 0xFF) << 8 | protocol >> 8)


def _redirect(device: int, classid: int) -> bytes:
    """The actions that name the class in the packet's priority, which htb looks at first, and redirect it."""
    edit = attr(_ACT_PARMS, _ACTION.pack(0, 0, _PIPE, 0, 0)) + attr(_SKBEDIT_PRIORITY, struct.pack("=I", classid))
    mirred = attr(_ACT_PARMS, _MIRRED.pack(0, 0, _STOLEN, 0, 0, _EGRESS_REDIRECT, device))
    actions: Sequence[tuple[str, bytes]] = [("skbedit", edit)] * bool(classid) + [("mirred", mirred)]
    return b"".join(
        attr(order, attr(_ACT_KIND, kind.encode() + b"\0") + attr(_ACT_OPTIONS, options))
        for order, (kind, options) in enumerate(actions, 1)
    )


def read_filter(body: memoryview) -> tuple[int, int, Filter] | None:
    """(priority, whole handle, filter) of a message of a dump; None for hash tables and what is not ours."""
    _, handle, _, info = header(body)
    kind, options = kind_and_options(body)
    found = attrs(options)
    if kind != "u32" or _U32_SEL not in found:
        return None
    selector = found[_U32_SEL]
    keys = tuple(
        (value, mask, struct.unpack("=i", at)[0])
        for mask, value, at in _KEY.iter_unpack(selector[16 : 16 + selector[2] * _KEY.size])
    )
    versions = {_info(0, version): version for version in (0, 4, 6)}
    version = versions.get(info & 0xFFFF)
    if version is None:
        return None
    classid = struct.unpack("=I", found[_U32_CLASSID])[0] if _U32_CLASSID in found else 0
    device = 0
    for action in attrs(found.get(_U32_ACT, b"")).values():
        parts = attrs(action)
        options = parts.get(_ACT_OPTIONS, memoryview(b""))
        if bytes(parts[_ACT_KIND]).startswith(b"skbedit"):
            classid = struct.unpack("=I", attrs(options)[_SKBEDIT_PRIORITY])[0]
        elif bytes(parts[_ACT_KIND]).startswith(b"mirred"):
            device = _MIRRED.unpack_from(attrs(options)[_ACT_PARMS])[6]
    return info >> 16, handle, Filter(version, keys, classid, device)
