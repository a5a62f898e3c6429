"""A node's uplink with the user-space engine: an htb tree on the node's interface.

The netem engine makes the uplink in its own tree.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping
from typing import Final

from harness.errors import NodeError
from harness.model.node_plan import NodePlan
from harness.model.status import NodeStatus
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping import u32
from harness.shaping.caps.flow_filters import flow_filters
from harness.shaping.caps.htb import FilterKey, has_tree, make_tree, missing_filters, read_cap
from harness.shaping.caps.tree import cap_tree
from harness.shaping.qdisc import ROOT
from harness.shaping.u32 import Filter

UPLINK: Final = "uplink"
_REMEDY: Final = {
    errno.ENOENT: "this kernel lacks that qdisc, filter or action: run 'harness doctor'",
    errno.EPERM: "needs CAP_NET_ADMIN in the node's network namespace",
    errno.EOPNOTSUPP: "this kernel lacks that: run 'harness doctor'",
}
_DISCOVERY, _ARP = 1, 4


def apply_uplink(netlink: Rtnetlink, node: NodePlan, index: int) -> None:
    """Limit what a node sends, in place. Raises NodeError.

    Args:
        netlink: in its namespace.
        node: its plan; a plan without an uplink makes an earlier one's tree never limit.
        index: of its interface.
    """
    if node.shape.uplink is None and not has_tree(netlink, index):
        return
    with cap_errors(node.rank, "limit its uplink"):
        tree = cap_tree(node.shape.uplink, len(node.egress), node.mtu)
        make_tree(netlink, index, tree, _filters(node))


def with_uplink(status: NodeStatus, node: NodePlan, index: int) -> NodeStatus:
    """The status of a node with its uplink, as the kernel reports it."""
    with Rtnetlink() as netlink:
        if node.shape.uplink is None and not has_tree(netlink, index):
            return status
        filters = _filters(node)
        found, wrong = read_cap(netlink, index, node.shape.uplink, len(node.egress), node.mtu)
        wrong += missing_filters(netlink, index, ROOT, filters)
    return status.with_cap(UPLINK, found, wrong)


@contextlib.contextmanager
def cap_errors(rank: int, what: str) -> Iterator[None]:
    """Turn OSErrors in this block into NodeErrors."""
    try:
        yield
    except OSError as problem:
        cause, remedy = problem.strerror or str(problem), _REMEDY.get(problem.errno or 0, "")
        raise NodeError(rank, what, cause, remedy) from None


def _filters(node: NodePlan) -> Mapping[FilterKey, Filter]:
    """Filters by destination, to the class of the next hop."""
    filters = {(_DISCOVERY, number): spec for number, spec in enumerate(u32.discovery(u32.UNSHAPED), 1)}
    filters[_ARP, 1] = u32.arp()
    return filters | flow_filters("dst", node, node.egress)
