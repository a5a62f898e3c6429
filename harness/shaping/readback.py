"""A node's status: what an engine reports by directed edge, compared with the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.model.address import MTU
from harness.model.link import UNSHAPED
from harness.model.node_plan import Port
from harness.model.status import EdgeStatus, NodeStatus, Stats
from harness.shaping.qdisc import Tree
from harness.shaping.qdisc_diff import mismatches
from harness.shaping.shape_branch import shape_of


def node_status(
    ports: Sequence[Port],
    desired: Tree,
    observed: Tree,
    stats: Mapping[int, Stats],
    notes: Sequence[str] = (),
    mtu: int = MTU,
) -> NodeStatus:
    """The status of a node.

    Args:
        ports: whose edges this node shapes.
        desired: the tree of the plan.
        observed: the tree that the kernel or the shaper daemon reports.
        stats: of every branch of ``observed``, by neighbour.
        notes: see NodeStatus.
        mtu: of the network.
    """
    edges, pairs = {}, {port.neighbour: port.edge.pair for port in ports}
    for neighbour, pair in pairs.items():
        branch = observed.branches.get(neighbour)
        edges[pair] = (
            EdgeStatus(UNSHAPED, Stats()) if branch is None else EdgeStatus(shape_of(branch, mtu), stats[neighbour])
        )
    wrong = tuple((pairs[neighbour], what) for neighbour, what in mismatches(desired, observed))
    return NodeStatus(edges, wrong, tuple(notes))
