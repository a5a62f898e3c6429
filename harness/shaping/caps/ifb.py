"""An ifb: a device through whose qdiscs packets go that came in elsewhere, before they go on there (sch_ingress,
act_mirred). A kernel has no queues for what comes in otherwise.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from harness.linux.host import has_ipv6
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr
from harness.netlink.rtnetlink import Request, Rtnetlink
from harness.shaping.caps.htb import send

_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_IFINFOMSG: Final = struct.Struct("=BxHiII")
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND, _IFLA_AF_SPEC = 3, 18, 1, 26
_AF_INET6, _ADDR_GEN_MODE, _NO_ADDRESS = 10, 8, b"\1"
_IFF_UP: Final = 1


def find_ifb(name: str) -> int | None:
    """Its index, where it is in the current network namespace.

    By netlink: where there is no such interface, if_nametoindex's ioctl has the kernel run ``modprobe netdev-NAME``
    (dev_load in net/core/dev_ioctl.c), for each node two or three times in each change.
    """
    with Rtnetlink() as netlink:
        found = netlink.ask(_RTM_GETLINK, _IFINFOMSG.pack(0, 0, 0, 0, 0) + attr(_IFLA_IFNAME, name.encode() + b"\0"))
    return None if found is None else int(_IFINFOMSG.unpack_from(found)[2])


def remove_link(name: str) -> Request:
    """The message that removes an interface."""
    return Request(_RTM_DELLINK, 0, _IFINFOMSG.pack(0, 0, 0, 0, 0) + attr(_IFLA_IFNAME, name.encode() + b"\0"))


def make_ifb(netlink: Rtnetlink, name: str) -> int:
    """Its index; makes it where there is none, without addresses. Raises OSError with the kernel's words."""
    if (found := find_ifb(name)) is not None:
        return found
    info = attr(_IFLA_LINKINFO, attr(_IFLA_INFO_KIND, b"ifb\0"))
    named = attr(_IFLA_IFNAME, name.encode() + b"\0")
    send(netlink, [Request(_RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, _IFINFOMSG.pack(0, 0, 0, 0, 0) + named + info)])
    index = socket.if_nametoindex(name)
    silent = attr(_IFLA_AF_SPEC, attr(_AF_INET6, attr(_ADDR_GEN_MODE, _NO_ADDRESS)))
    requests = [Request(_RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, 0, 0) + silent)] if has_ipv6() else []
    send(netlink, [*requests, Request(_RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, index, _IFF_UP, _IFF_UP))])
    return index
