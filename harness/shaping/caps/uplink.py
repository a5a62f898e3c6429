"""A node's uplink where its links are made in user space, at their receivers: an htb tree on its own interface.

Not for the engine that has a tree of its own there (netem): that one makes the uplink in it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from harness.errors import NodeError
from harness.model.address import FRAME, MTU
from harness.model.node_plan import NodePlan
from harness.model.status import CapStatus, NodeStatus
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps import messages as tc
from harness.shaping.caps.htb import FilterKey, make_tree, read_tree, wrong_filters
from harness.shaping.caps.messages import Filter
from harness.shaping.caps.tree import ROOT, CapTree, cap_tree, differences, held_capacity

UPLINK: Final = "uplink"
REMEDY: Final = {
    errno.ENOENT: "this kernel lacks that qdisc, filter or action: run 'harness doctor'",
    errno.EPERM: "needs CAP_NET_ADMIN in the node's network namespace",
    errno.EOPNOTSUPP: "this kernel lacks that: run 'harness doctor'",
}
_DISCOVERY, _ARP = 1, 4
_BY_ADDRESS: Final = {4: 2, 6: 3}


def apply_uplink(netlink: Rtnetlink, node: NodePlan, index: int) -> None:
    """Limit what a node sends, in place. Raises NodeError.

    Args:
        netlink: in its namespace.
        node: its plan; without an uplink, one that was there never limits again.
        index: of its interface.
    """
    if node.shape.uplink is None and not _has_tree(netlink, index):
        return
    try:
        make_tree(netlink, index, _tree(node), _filters(node))
    except OSError as problem:
        raise NodeError(
            node.rank, "limit its uplink", problem.strerror or str(problem), REMEDY.get(problem.errno or 0, "")
        ) from None


def with_uplink(status: NodeStatus, node: NodePlan, index: int) -> NodeStatus:
    """The status of a node with its uplink, as the kernel reports it."""
    with Rtnetlink() as netlink:
        if node.shape.uplink is None and not _has_tree(netlink, index):
            return status
        tree, filters = _tree(node), _filters(node)
        held = read_tree(netlink, index, tree)
        wrong = list(differences(tree, held.tree))
        if missing := wrong_filters(netlink, index, ROOT, filters):
            wrong.append(f"{missing} of its {len(filters)} filters are missing")
    applied = held_capacity(held.tree, node.shape.uplink, len(node.egress))
    caps = {**status.caps, UPLINK: CapStatus(applied, held.stats)}
    return replace(status, caps=caps, cap_mismatches=(*status.cap_mismatches, *((UPLINK, text) for text in wrong)))


def _tree(node: NodePlan) -> CapTree:
    return cap_tree(node.shape.uplink, len(node.egress), largest_packet(node.max_segments, node.mtu))


def largest_packet(segments: int | None, mtu: int) -> int:
    """Bytes of the largest packet that nodes hand to the kernel, headers of its segments included."""
    return (segments or 1) * (mtu + FRAME - MTU)


def _filters(node: NodePlan) -> Mapping[FilterKey, Filter]:
    """By destination, to the class of the next hop."""

    def every() -> Iterator[tuple[FilterKey, Filter]]:
        for number, spec in enumerate(tc.discovery(tc.UNSHAPED), 1):
            yield (_DISCOVERY, number), spec
        yield (_ARP, 1), tc.arp()
        for flow, port in enumerate(node.egress, 1):
            for version in node.addressing.versions:
                for rank in port.ranks:
                    address = node.addressing.address(rank, version)
                    yield (_BY_ADDRESS[version], rank + 1), tc.by_address("dst", address, ROOT | flow)

    return dict(every())


def _has_tree(netlink: Rtnetlink, index: int) -> bool:
    for body in netlink.dump(tc.RTM_GETQDISC, tc.dump_request(index)):
        at, handle, _, _ = tc.header(body)
        if at == index and handle == ROOT:
            return True
    return False
