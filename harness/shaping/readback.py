"""What an engine holds, told by directed edge and compared with what was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.model.link import UNSHAPED
from harness.model.plan import Port
from harness.model.status import EdgeStatus, NodeStatus, Stats
from harness.shaping.qdisc import Tree, shape_of
from harness.shaping.qdisc_diff import mismatches


def reading(
    ports: Sequence[Port], desired: Tree, observed: Tree, stats: Mapping[int, Stats], notes: Sequence[str] = ()
) -> NodeStatus:
    """The reading of a node.

    Args:
        ports: those whose edges the node makes.
        desired: the tree that makes them.
        observed: the tree that is held.
        stats: counters by neighbour, of every branch that is held.
        notes: see NodeStatus.
    """
    edges, pairs = {}, {port.neighbour: port.edge.pair for port in ports}
    for neighbour, pair in pairs.items():
        branch = observed.branches.get(neighbour)
        held = (UNSHAPED, Stats()) if branch is None else (shape_of(branch), stats[neighbour])
        edges[pair] = EdgeStatus(*held)
    wrong = tuple((pairs[neighbour], what) for neighbour, what in mismatches(desired, observed))
    return NodeStatus(edges, wrong, tuple(notes))
