"""Limits the size of TCP super-packets, because loss, limits and rates act on whole ones."""

from __future__ import annotations

import socket
from typing import Final

from harness.errors import NodeError
from harness.model.address import INTERFACE
from harness.model.node_plan import NodePlan
from harness.netlink.links import limit_segments
from harness.netlink.rtnetlink import Rtnetlink

KERNEL_SEGMENTS: Final = 65535
"""The kernel's own limit of a super-packet's segments."""


def interface_index(node: NodePlan) -> int:
    """The index of the node's interface. Raises NodeError where there is none."""
    try:
        return socket.if_nametoindex(INTERFACE)
    except OSError:
        raise NodeError(
            node.rank, f"find interface {INTERFACE}", "there is none", "run 'harness down' and 'up'"
        ) from None


def cut_segments(netlink: Rtnetlink, node: NodePlan, index: int) -> None:
    """Limit the super-packets of sockets that open from now on. Raises NodeError.

    To be called also for a node that shapes nothing, because its packets may cross another node's link.
    """
    most = node.max_segments or KERNEL_SEGMENTS
    for refusal in netlink.batch([limit_segments(index, most)]):
        raise NodeError(node.rank, f"limit TCP super-packets to {most} segments", refusal.text, "needs CAP_NET_ADMIN")
