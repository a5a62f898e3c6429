"""ifb devices: incoming packets of another interface pass through an ifb's qdiscs (sch_ingress, act_mirred).

Without one, the kernel has no queues for incoming packets.
"""

from __future__ import annotations

import socket

from harness.linux.host import has_ipv6
from harness.netlink import links
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps.htb import send


def find_ifb(name: str) -> int | None:
    """The index of an ifb in the current network namespace; None where there is none."""
    with Rtnetlink() as netlink:
        return links.find_link(netlink, name)


def make_ifb(netlink: Rtnetlink, name: str) -> int:
    """The index of an ifb; makes it where there is none, without addresses. Raises OSError with the kernel's words."""
    if (found := find_ifb(name)) is not None:
        return found
    send(netlink, [links.new_link(name, "ifb")])
    index = socket.if_nametoindex(name)
    silent = [links.without_addresses(index)] if has_ipv6() else []
    send(netlink, [*silent, links.set_up(index, arp=False)])  # an ifb has no ARP
    return index
