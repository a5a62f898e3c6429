"""rtnetlink requests for the kernel's neighbour tables (linux/neighbour.h): which MAC address an IP address has.

Even an unprivileged program can bypass the routes (SO_DONTROUTE with SO_BINDTODEVICE), so that packets for a node
behind a relay would cross one link instead of two. To prevent it, an interface without ARP knows only its neighbours'
MAC addresses; other interfaces get an entry with a MAC address that nobody has.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_REPLACE, address_family, attr
from harness.netlink.rtnetlink import Request

_RTM_NEWNEIGH, _RTM_DELNEIGH = 28, 29
_NDMSG: Final = struct.Struct("=BxHiHBB")
_DST, _LLADDR = 1, 2
_PERMANENT, _STATIC = 0x80, 0x40
_AF_BRIDGE: Final = 7
_MASTER, _STICKY = 0x04, 0x40
_NOBODY: Final = b"\2\0\0\0\0\0"


def lead_to(address: IPv4Address | IPv6Address, mac: bytes, index: int) -> Request:
    """Adds a permanent entry for a neighbour."""
    return Request(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, _body(address, index) + attr(_LLADDR, mac))


def known_station(mac: bytes, port: int) -> Request:
    """Tells a bridge for good at which port a MAC address is, so that it need not flood frames to it."""
    body = _NDMSG.pack(_AF_BRIDGE, 0, port, _STATIC, _MASTER | _STICKY, 0) + attr(_LLADDR, mac)
    return Request(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body)


def lead_nowhere(address: IPv4Address | IPv6Address, index: int) -> Request:
    """Makes packets that are sent directly to an address reach nobody."""
    return Request(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, _body(address, index) + attr(_LLADDR, _NOBODY))


def look_up(address: IPv4Address | IPv6Address, index: int) -> Request:
    """Undoes lead_nowhere: the kernel asks for the MAC address again."""
    return Request(_RTM_DELNEIGH, 0, _body(address, index))


def _body(address: IPv4Address | IPv6Address, index: int) -> bytes:
    return _NDMSG.pack(address_family(address.version), 0, index, _PERMANENT, 0, 0) + attr(_DST, address.packed)
