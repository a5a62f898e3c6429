"""The qdisc tree that a node's plan asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from harness.model.node_plan import NodePlan, Port
from harness.shaping.qdisc import EMPTY, Branch, Tree
from harness.shaping.shape_branch import branch_of


def tree_of(
    node: NodePlan, ports: Iterable[Port], versions: Collection[int] = (4, 6), sharing: Collection[int] = ()
) -> Tree:
    """The tree that makes a node's outgoing or its incoming edges; an unshaped edge needs no branch.

    Args:
        node: whose tree it is.
        ports: the node's, of one direction.
        versions: of IP that the nodes have addresses of.
        sharing: neighbours whose edges share a capacity that is made behind their branches: they need one anyway.
    """
    if not node.guarded:
        return EMPTY
    branches: dict[int, Branch] = {}
    filters: dict[tuple[int, int], int] = {}
    passing: dict[tuple[int, int], int] = {}
    for port in ports:
        far, shape = [(rank, version) for rank in port.ranks for version in versions], port.edge.effective
        if shape.is_unshaped and port.neighbour not in sharing:
            passing |= dict.fromkeys(far, 0)
        else:
            branches[port.neighbour] = branch_of(port, node.seed)
            filters |= dict.fromkeys(far, port.neighbour)
    return Tree(True, branches, filters, passing=passing, sealed=True)
