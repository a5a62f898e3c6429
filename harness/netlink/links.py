"""rtnetlink requests for network interfaces (linux/if_link.h): a bridge, veth pairs, addresses.

pyroute2 takes 6 ms for one node's, and 0.14 s for its import; this takes 0.5 ms (benchmarks/scale.py).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, address_family, attr, text, word
from harness.netlink.rtnetlink import Request, Rtnetlink

LOOPBACK: Final = 1
"""Index of the interface lo."""
_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK, _RTM_NEWADDR = 16, 17, 18, 20
_NEW: Final = NLM_F_CREATE | NLM_F_EXCL
_IFINFOMSG: Final = struct.Struct("=BxHiII")
_IFADDRMSG: Final = struct.Struct("=BBBBI")
_ADDRESS, _IFNAME, _MTU, _MASTER, _LINKINFO, _NET_NS_FD = 1, 3, 4, 10, 18, 28
_AF_SPEC, _GSO_MAX_SEGS = 26, 40
_KIND, _DATA, _PEER = 1, 2, 1
_ADDR_GEN_MODE: Final = 8
_AGEING_TIME, _STP_STATE, _MCAST_SNOOPING = 4, 5, 23
_UP, _NOARP = 0x1, 0x80
_IFA_LOCAL, _IFA_FLAGS = 2, 8
_NODAD, _NOPREFIXROUTE = 0x02, 0x200
_SUPER_PACKETS: Final = (41, 58, 63, 64)
"""IFLA_GSO_MAX_SIZE, IFLA_GRO_MAX_SIZE, IFLA_GSO_IPV4_MAX_SIZE, IFLA_GRO_IPV4_MAX_SIZE."""
_NEVER: Final = 2**31 // 100
"""Hundredths of a second after which a bridge forgets at which port it saw a MAC address."""


def new_bridge(name: str) -> Request:
    """A bridge that is up, without spanning tree and multicast snooping."""
    data = word(_STP_STATE, 0) + attr(_MCAST_SNOOPING, b"\0") + word(_AGEING_TIME, _NEVER)
    info = text(_KIND, "bridge") + attr(_DATA, data)
    return Request(_RTM_NEWLINK, _NEW, _IFINFOMSG.pack(0, 0, 0, _UP, _UP) + text(_IFNAME, name) + attr(_LINKINFO, info))


def new_veth(name: str, bridge: int, peer: str, namespace: int, mac: bytes, mtu: int) -> Request:
    """A veth pair with one end, which is up, at a bridge and the other in a node.

    Args:
        name: of the bridge's port.
        bridge: index of the bridge.
        peer: name of the node's end.
        namespace: file descriptor of the node's network namespace.
        mac: MAC address of the node's end.
        mtu: of both.
    """
    size = word(_MTU, mtu)
    other = _IFINFOMSG.pack(0, 0, 0, 0, 0) + text(_IFNAME, peer) + attr(_ADDRESS, mac) + size
    other += word(_NET_NS_FD, namespace)
    info = text(_KIND, "veth") + attr(_DATA, attr(_PEER, other))
    body = _IFINFOMSG.pack(0, 0, 0, _UP, _UP) + text(_IFNAME, name) + size + word(_MASTER, bridge)
    return Request(_RTM_NEWLINK, _NEW, body + attr(_LINKINFO, info))


def new_link(name: str, kind: str) -> Request:
    """An interface of a kind such as ``ifb``, down and with the kernel's defaults."""
    info = attr(_LINKINFO, text(_KIND, kind))
    return Request(_RTM_NEWLINK, _NEW, _IFINFOMSG.pack(0, 0, 0, 0, 0) + text(_IFNAME, name) + info)


def remove_link(name: str) -> Request:
    """Removes an interface."""
    return Request(_RTM_DELLINK, 0, _IFINFOMSG.pack(0, 0, 0, 0, 0) + text(_IFNAME, name))


def find_link(netlink: Rtnetlink, name: str) -> int | None:
    """The index of an interface of the socket's network namespace; None where there is none.

    For a missing interface, if_nametoindex's ioctl would have the kernel run ``modprobe netdev-NAME`` (dev_load in
    net/core/dev_ioctl.c).
    """
    found = netlink.ask(_RTM_GETLINK, _IFINFOMSG.pack(0, 0, 0, 0, 0) + text(_IFNAME, name))
    return None if found is None else int(_IFINFOMSG.unpack_from(found)[2])


def without_addresses(index: int) -> Request:
    """Keeps an interface from choosing a link-local IPv6 address."""
    silent = attr(_AF_SPEC, attr(socket.AF_INET6, attr(_ADDR_GEN_MODE, b"\1")))
    return Request(_RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, 0, 0) + silent)


def limit_segments(index: int, most: int) -> Request:
    """Limits the segments of super-packets (IFLA_GSO_MAX_SEGS)."""
    return Request(_RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, 0, 0) + word(_GSO_MAX_SEGS, most))


def set_up(index: int, *, arp: bool = True) -> Request:
    """Sets an interface up; without ``arp`` it neither asks for MAC addresses nor answers who does."""
    return Request(_RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, _UP | (0 if arp else _NOARP), _UP | _NOARP))


def allow_large(index: int, size: int) -> Request:
    """Allows super-packets of ``size`` bytes. Kernels before 6.3 ignore or refuse it for IPv4."""
    attributes = b"".join(word(kind, size) for kind in _SUPER_PACKETS)
    return Request(_RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, 0, 0) + attributes)


def new_address(index: int, address: IPv4Address | IPv6Address, length: int) -> Request:
    """An address with a prefix length, in use at once; the kernel adds a route only for a link-local one."""
    body = _IFADDRMSG.pack(address_family(address.version), length, 0, 0, index) + attr(_IFA_LOCAL, address.packed)
    flags = _NODAD | (0 if address.is_link_local else _NOPREFIXROUTE)
    return Request(_RTM_NEWADDR, _NEW, body + word(_IFA_FLAGS, flags))


def indices(names: Sequence[str]) -> list[int]:
    """Of interfaces of the current network namespace. Raises OSError."""
    return [socket.if_nametoindex(name) for name in names]
