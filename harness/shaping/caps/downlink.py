"""A node's downlink with the netem engine: incoming packets pass an htb tree on an ifb in the node's namespace.

::

    eth0 ingress       u32  prio 1           IPv6 neighbour discovery: passes, as ARP does
                            prio 2, prio 3   all IPv4, all IPv6: mirred redirect -> ifb-down
    ifb-down root      the tree of caps/tree.py
                       u32  prio 2, prio 3   IPv4, IPv6, by original source -> class of the neighbour it came through

Packets have their link's delay behind them then, because netem is at the sender.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.model.node_plan import NodePlan
from harness.model.status import CapStatus, NodeStatus
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping import u32
from harness.shaping.caps.flow_filters import IP, flow_filters
from harness.shaping.caps.htb import FilterKey, make_filters, make_tree, missing_filters, read_cap
from harness.shaping.caps.ifb import find_ifb, make_ifb
from harness.shaping.caps.messages import INGRESS
from harness.shaping.caps.tree import cap_tree
from harness.shaping.caps.uplink import cap_errors
from harness.shaping.qdisc import ROOT
from harness.shaping.u32 import Filter

DOWNLINK: Final = "downlink"
DEVICE: Final = "ifb-down"
_DISCOVERY: Final = 1


def apply_downlink(netlink: Rtnetlink, node: NodePlan, index: int) -> None:
    """Limit what a node receives, in place. Raises NodeError.

    Args:
        netlink: in its namespace.
        node: its plan; a plan without a downlink makes an earlier one's tree never limit.
        index: of its interface.
    """
    capacity = node.shape.downlink
    if capacity is None and find_ifb(DEVICE) is None:
        return
    with cap_errors(node.rank, "make an ifb for its downlink"):
        device = make_ifb(netlink, DEVICE)
    with cap_errors(node.rank, "limit its downlink"):
        make_tree(netlink, device, cap_tree(capacity, len(node.ingress), node.mtu), _by_source(node))
        make_filters(netlink, index, _redirect(node, device))


def with_downlink(status: NodeStatus, node: NodePlan, index: int) -> NodeStatus:
    """The status of a node with its downlink, as the kernel reports it."""
    capacity, device = node.shape.downlink, find_ifb(DEVICE)
    if device is None:
        return status if capacity is None else status.with_cap(DOWNLINK, CapStatus(None), [f"there is no {DEVICE}"])
    with Rtnetlink() as netlink:
        found, wrong = read_cap(netlink, device, capacity, len(node.ingress), node.mtu)
        wrong += missing_filters(netlink, device, ROOT, _by_source(node))
        wrong += missing_filters(netlink, index, INGRESS, _redirect(node, device))
    return status.with_cap(DOWNLINK, found, wrong)


def _redirect(node: NodePlan, device: int) -> Mapping[FilterKey, Filter]:
    filters = {(_DISCOVERY, number): spec for number, spec in enumerate(u32.discovery(), 1)}
    return filters | {(IP[version], 1): u32.anything(version, device) for version in node.addressing.versions}


def _by_source(node: NodePlan) -> Mapping[FilterKey, Filter]:
    return flow_filters("src", node, node.ingress)
