"""u32 filters as bytes, and back (linux/pkt_cls.h): which packets go to which class, or to another interface."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr, attrs, text, word
from harness.netlink.rtnetlink import Request
from harness.shaping.caps.messages import RTM_DELTFILTER, RTM_NEWTFILTER, header, kind_and_options, raw_request
from harness.shaping.qdisc import ROOT, Prefix

UNSHAPED: Final = ROOT
"""What a filter on the root names to let packets pass beside all classes."""
_NEW: Final = NLM_F_CREATE | NLM_F_EXCL
_OPTIONS: Final = 2
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
"""Value, mask, and offset of the four bytes from the network header, which may be negative."""


@dataclass(frozen=True)
class Filter:
    """A u32 filter: which packets it matches, and where they go.

    Args:
        version: of IP; 0: ARP.
        keys: all must match.
        classid: a class of this interface or, with ``device``, of that one; 0: none.
        device: index of the interface to which it redirects incoming packets; 0: it does not.
    """

    version: int
    keys: tuple[Key, ...]
    classid: int = 0
    device: int = 0


def by_prefix(end: str, prefix: Prefix, classid: int, device: int = 0) -> Filter:
    """Matches packets whose ``src`` or ``dst`` address is in a prefix."""
    start, packed, mask = _OFFSET[end, prefix.version], prefix.network_address.packed, prefix.netmask.packed
    keys = [
        (int.from_bytes(packed[at : at + 4]), int.from_bytes(mask[at : at + 4]), start + at)
        for at in range(0, len(packed), 4)
    ]
    return Filter(prefix.version, tuple(key for key in keys if key[1]) or ((0, 0, start),), classid, device)


def prefix_of(end: str, spec: Filter) -> Prefix | None:
    """The inverse of by_prefix; None where the filter matches something else."""
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
    """Match IPv6 neighbour discovery, so that it passes unshaped as ARP does.

    Solicitations (ICMPv6 type 135) and advertisements (136) to a node's own address would else pay its link's delay.
    They match only what receivers accept (RFC 4861, 7.1: a hop limit of 255, no header between), and only packets of
    less than 256 bytes. The ethertype is that of the frame: a packet socket may tell the kernel another.
    """
    frame = (_ETH_P[6], 0x0000FFFF, -4)
    return [
        Filter(6, (frame, (0x00003AFF, 0xFF00FFFF, 4), (kind << 24, 0xFF000000, 40)), classid) for kind in (135, 136)
    ]


def arp() -> Filter:
    """Lets ARP for IPv4 on Ethernet pass unshaped."""
    return Filter(0, ((_ETH_P_ARP, 0x0000FFFF, -4), (0x00010800, _U32_MAX, 0)), UNSHAPED)


def anything(version: int, device: int) -> Filter:
    """Matches every packet of an IP version, and redirects it to this interface."""
    return Filter(version, ((0, 0, 0),), device=device)


def set_filter(index: int, parent: int, priority: int, number: int, spec: Filter, flags: int = _NEW) -> Request:
    """Adds a filter to the root (ROOT) or to incoming packets (INGRESS); without flags, changes one in place."""
    keys = b"".join(_KEY.pack(mask, value, struct.pack("=i", at)) for value, mask, at in spec.keys)
    selector = attr(_U32_SEL, bytes((_U32_TERMINAL, 0, len(spec.keys))) + bytes(13) + keys)
    if spec.device:
        target = attr(_U32_ACT, _redirect(spec.device, spec.classid))
    else:
        target = word(_U32_CLASSID, spec.classid) if spec.classid else b""
    made = attr(_OPTIONS, target + selector)
    return raw_request(RTM_NEWTFILTER, flags, index, number, parent, "u32", made, _info(priority, spec.version))


def drop_filter(index: int, parent: int, priority: int, handle: int, version: int) -> Request:
    """Removes a filter by its whole handle."""
    return raw_request(RTM_DELTFILTER, 0, index, handle, parent, "u32", info=_info(priority, version))


def _info(priority: int, version: int) -> int:
    protocol = _ETH_P.get(version, _ETH_P_ARP)
    return priority << 16 | ((protocol & 0xFF) << 8 | protocol >> 8)


def _redirect(device: int, classid: int) -> bytes:
    """The actions that redirect a packet and write its class into its priority, which htb looks at first."""
    edit = attr(_ACT_PARMS, _ACTION.pack(0, 0, _PIPE, 0, 0)) + word(_SKBEDIT_PRIORITY, classid)
    mirred = attr(_ACT_PARMS, _MIRRED.pack(0, 0, _STOLEN, 0, 0, _EGRESS_REDIRECT, device))
    actions: Sequence[tuple[str, bytes]] = [("skbedit", edit)] * bool(classid) + [("mirred", mirred)]
    return b"".join(
        attr(order, text(_ACT_KIND, kind) + attr(_ACT_OPTIONS, options))
        for order, (kind, options) in enumerate(actions, 1)
    )


def read_filter(body: memoryview) -> tuple[int, int, Filter] | None:
    """(priority, whole handle, filter) in a message of a dump; None for hash tables and filters that are not ours."""
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
