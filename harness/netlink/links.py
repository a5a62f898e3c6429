"""Network interfaces as rtnetlink takes them (linux/if_link.h): a bridge, veth pairs, addresses.

A network of 1,000 nodes has 1,000 veth pairs and 2,000 addresses; pyroute2 takes 6 ms for one node's, this 0.5 ms
(benchmarks/scale.py), and its import 0.14 s.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr
from harness.netlink.rtnetlink import Request

LOOPBACK: Final = 1
"""Index of the interface lo."""
_RTM_NEWLINK, _RTM_NEWADDR = 16, 20
_NEW: Final = NLM_F_CREATE | NLM_F_EXCL
_IFINFOMSG: Final = struct.Struct("=BxHiII")
_IFADDRMSG: Final = struct.Struct("=BBBBI")
_ADDRESS, _IFNAME, _MTU, _MASTER, _LINKINFO, _NET_NS_FD = 1, 3, 4, 10, 18, 28
_KIND, _DATA, _PEER = 1, 2, 1
_AGEING_TIME, _STP_STATE, _MCAST_SNOOPING = 4, 5, 23
_UP, _NOARP = 0x1, 0x80
_IFA_LOCAL, _IFA_FLAGS = 2, 8
_NODAD, _NOPREFIXROUTE = 0x02, 0x200
_SUPER_PACKETS: Final = (41, 58, 63, 64)
"""IFLA_GSO_MAX_SIZE, IFLA_GRO_MAX_SIZE, IFLA_GSO_IPV4_MAX_SIZE, IFLA_GRO_IPV4_MAX_SIZE."""
_NEVER: Final = 2**31 // 100
"""Hundredths of a second after which a bridge forgets on which port it has seen a MAC address."""


def new_bridge(name: str) -> Request:
    """A bridge that is up, and passes frames as a switch does: no spanning tree, no look at who wants multicasts."""
    data = attr(_STP_STATE, _word(0)) + attr(_MCAST_SNOOPING, b"\0") + attr(_AGEING_TIME, _word(_NEVER))
    info = attr(_KIND, b"bridge\0") + attr(_DATA, data)
    return Request(_RTM_NEWLINK, _NEW, _IFINFOMSG.pack(0, 0, 0, _UP, _UP) + _named(name) + attr(_LINKINFO, info))


def new_veth(name: str, bridge: int, peer: str, namespace: int, mac: bytes, mtu: int) -> Request:
    """A veth pair whose one end is a port of a bridge, and up.

    Args:
        name: of the port.
        bridge: its index.
        peer: the name of the other end.
        namespace: file descriptor of the network namespace that the other end is in.
        mac: its MAC address.
        mtu: of both.
    """
    size = attr(_MTU, _word(mtu))
    other = _IFINFOMSG.pack(0, 0, 0, 0, 0) + _named(peer) + attr(_ADDRESS, mac) + size
    other += attr(_NET_NS_FD, _word(namespace))
    info = attr(_KIND, b"veth\0") + attr(_DATA, attr(_PEER, other))
    body = _IFINFOMSG.pack(0, 0, 0, _UP, _UP) + _named(name) + size + attr(_MASTER, _word(bridge))
    return Request(_RTM_NEWLINK, _NEW, body + attr(_LINKINFO, info))


def set_up(index: int, *, arp: bool = True) -> Request:
    """Sets an interface up; without ``arp`` it asks for no MAC addresses and answers nobody who does."""
    return Request(_RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, _UP | (0 if arp else _NOARP), _UP | _NOARP))


def allow_large(index: int, size: int) -> Request:
    """Allows super-packets of so many bytes. Kernels before 6.3 ignore or refuse it for IPv4."""
    attributes = b"".join(attr(kind, _word(size)) for kind in _SUPER_PACKETS)
    return Request(_RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, 0, 0) + attributes)


def new_address(index: int, address: IPv4Address | IPv6Address, length: int) -> Request:
    """An address of an interface, in use at once; its network, which has that prefix length, gets a route only where
    the address is link-local."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = _IFADDRMSG.pack(family, length, 0, 0, index) + attr(_IFA_LOCAL, address.packed)
    flags = _NODAD | (0 if address.is_link_local else _NOPREFIXROUTE)
    return Request(_RTM_NEWADDR, _NEW, body + attr(_IFA_FLAGS, _word(flags)))


def indices(names: Sequence[str]) -> list[int]:
    """Of interfaces of the current network namespace. Raises OSError."""
    return [socket.if_nametoindex(name) for name in names]


def _named(name: str) -> bytes:
    return attr(_IFNAME, name.encode() + b"\0")


def _word(value: int) -> bytes:
    return struct.pack("=I", value)
