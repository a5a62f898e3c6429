"""Entries of the kernel's neighbour tables (linux/neighbour.h): the MAC addresses of the nodes on the link.

A program may send past the routes to nodes that must be reached through a relay, also without privileges (SO_DONTROUTE
with SO_BINDTODEVICE): its packets would cross one link instead of two. An interface without ARP knows no MAC addresses
but those of the neighbours that it was told; elsewhere an entry that names nobody's sends such packets nowhere.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_REPLACE, attr
from harness.netlink.rtnetlink import Request

_RTM_NEWNEIGH, _RTM_DELNEIGH = 28, 29
_NDMSG: Final = struct.Struct("=BxHiHBB")
_DST, _LLADDR = 1, 2
_PERMANENT, _STATIC = 0x80, 0x40
_AF_BRIDGE: Final = 7
_MASTER, _STICKY = 0x04, 0x40
_NOBODY: Final = b"\2\0\0\0\0\0"


def lead_to(address: IPv4Address | IPv6Address, mac: bytes, index: int) -> Request:
    """The message by which a neighbour is known for good on that interface."""
    return Request(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, _body(address, index) + attr(_LLADDR, mac))


def known_station(mac: bytes, port: int) -> Request:
    """The message by which a bridge knows for good behind which port that MAC address is: it floods nothing for it."""
    body = _NDMSG.pack(_AF_BRIDGE, 0, port, _STATIC, _MASTER | _STICKY, 0) + attr(_LLADDR, mac)
    return Request(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body)


def lead_nowhere(address: IPv4Address | IPv6Address, index: int) -> Request:
    """The message by which what is sent directly to that address on that interface reaches nobody."""
    return Request(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, _body(address, index) + attr(_LLADDR, _NOBODY))


def look_up(address: IPv4Address | IPv6Address, index: int) -> Request:
    """The message that takes it back: the kernel asks for the MAC address again."""
    return Request(_RTM_DELNEIGH, 0, _body(address, index))


def _body(address: IPv4Address | IPv6Address, index: int) -> bytes:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return _NDMSG.pack(family, 0, index, _PERMANENT, 0, 0) + attr(_DST, address.packed)
