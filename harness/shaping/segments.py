"""How large TCP super-packets may be: loss, limits and rates act on whole ones.

Bytes of our own for one message: the user-space engine sends it too, and pyroute2's message classes would make every
``harness link set`` there 0.05 s slower (benchmarks/mesh.py).
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from harness.errors import NodeError
from harness.model.address import INTERFACE
from harness.model.node_plan import NodePlan
from harness.netlink.nlattr import attr
from harness.netlink.rtnetlink import Request, Rtnetlink

KERNEL_SEGMENTS: Final = 65535
"""The kernel's own limit of a super-packet's segments."""
_RTM_NEWLINK: Final = 16
_IFINFOMSG: Final = struct.Struct("=BxHiII")
_IFLA_GSO_MAX_SEGS: Final = 40


def interface_index(node: NodePlan) -> int:
    """The index of the node's interface. Raises NodeError where there is none."""
    try:
        return socket.if_nametoindex(INTERFACE)
    except OSError:
        raise NodeError(
            node.rank, f"find interface {INTERFACE}", "there is none", "run 'harness down' and 'up'"
        ) from None


def cut_segments(netlink: Rtnetlink, node: NodePlan, index: int) -> None:
    """Limit the super-packets of sockets that open from now on.

    Also where a node shapes nothing itself: what it sends may cross another node's link. Raises NodeError.
    """
    most = node.max_segments or KERNEL_SEGMENTS
    body = _IFINFOMSG.pack(0, 0, index, 0, 0) + attr(_IFLA_GSO_MAX_SEGS, struct.pack("=I", most))
    for refusal in netlink.batch([Request(_RTM_NEWLINK, 0, body)]):
        raise NodeError(node.rank, f"limit TCP super-packets to {most} segments", refusal.text, "needs CAP_NET_ADMIN")
