"""Computes the desired qdisc tree of a node's plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from harness.model.capacity import Capacity
from harness.model.node_plan import NodePlan, PlannedEdge, Port
from harness.shaping.caps.tree import REST, TOTAL, CapTree, cap_tree, held_capacity
from harness.shaping.htb_class import HtbClass, never_limiting
from harness.shaping.leaf import Leaf
from harness.shaping.qdisc import EMPTY, PASSING_UPLINK, Branch, Prefix, Tree
from harness.shaping.shape_branch import branch_of


class Computed:
    """Caches the branches and prefixes of a node's ports in one direction, until they change."""

    def __init__(self) -> None:
        self._branches: dict[int, tuple[PlannedEdge, tuple[int, int], Branch]] = {}
        self._ways: dict[int, tuple[object, Mapping[Prefix, int]]] = {}

    def branch(self, node: NodePlan, port: Port) -> Branch:
        """The branch of a port's edge; the same object as before if nothing has changed."""
        edge, common, branch = self._branches.get(port.neighbour, (None, None, None))
        if branch is None or edge is not port.edge or common != (node.seed, node.mtu):
            branch = branch_of(port, node.seed, node.mtu)
            self._branches[port.neighbour] = port.edge, (node.seed, node.mtu), branch
        return branch

    def ways(self, node: NodePlan, port: Port, versions: Collection[int]) -> Mapping[Prefix, int]:
        """See NodePlan.ways."""
        place = node.addressing, port.ranks, tuple(versions)
        before, ways = self._ways.get(port.neighbour, (None, {}))
        if before != place:
            ways = node.ways([port], versions)
            self._ways[port.neighbour] = place, ways
        return ways


def sender_tree(node: NodePlan) -> Tree:
    """The tree of a node's outgoing edges and its uplink, for an engine at the sender."""
    uplink = node.shape.uplink
    near = [port.neighbour for port in node.egress]
    tree = tree_of(node, node.egress, node.addressing.versions, near if uplink else ())
    if not tree.rooted:
        return tree
    if uplink is None:
        plain = {
            neighbour: _placed(branch, never_limiting(branch.rate_byte_s), None)
            for neighbour, branch in tree.branches.items()
        }
        return replace(tree, branches=plain, uplink=PASSING_UPLINK)
    cap = cap_tree(uplink, len(near), node.mtu)
    sharing = {
        neighbour: _placed(branch, cap.classes[REST], cap.leaves[REST]) for neighbour, branch in tree.branches.items()
    }
    return replace(tree, branches=sharing, uplink=cap.classes[TOTAL])


def _placed(branch: Branch, htb: HtbClass, waiting: Leaf | None) -> Branch:
    """The branch with its class and its last qdisc: an edge's own queue, if any, else the queue for the uplink."""
    if branch.tbf is not None:
        waiting = Leaf(branch.queue, branch.buffer_bytes) if branch.queue else None
    return replace(branch, htb=htb, leaf=waiting)


def tree_of(
    node: NodePlan,
    ports: Iterable[Port],
    versions: Collection[int] = (4, 6),
    sharing: Collection[int] = (),
    computed: Computed | None = None,
    *,
    sealed: bool = True,
) -> Tree:
    """The tree of a node's outgoing or incoming edges; unshaped edges have no branch.

    Args:
        node: the plan.
        ports: the node's, in one direction.
        versions: of the nodes' IP addresses.
        sharing: neighbours whose edges share a capacity behind their branches, and so need a branch in any case.
        computed: a cache for this node and direction.
        sealed: whether the tree itself drops what matches no filter.
    """
    if not node.guarded:
        return EMPTY
    computed = computed or Computed()
    branches: dict[int, Branch] = {}
    filters: dict[Prefix, int] = {}
    passing: dict[Prefix, int] = {}
    for port in ports:
        far, shape = computed.ways(node, port, versions), port.edge.effective
        if shape.is_unshaped and port.neighbour not in sharing:
            passing |= dict.fromkeys(far, 0)
        else:
            branches[port.neighbour] = computed.branch(node, port)
            filters |= far
    return Tree(True, branches, filters, passing=passing, sealed=sealed)


def held_uplink(node: NodePlan, held: Tree) -> Capacity | None:
    """The uplink that a tree makes: the desired capacity itself where it is equal."""
    if held.uplink is None:
        return None
    flows, wanted = len(node.egress), node.shape.uplink
    leaves = [branch.leaf for branch in held.branches.values() if branch.leaf is not None and branch.tbf is None]
    if not leaves and wanted is not None:  # every edge has a queue of its own, which serves the uplink, too
        leaves = [Leaf(wanted.queue, wanted.flow_bytes(flows))]
    tree = CapTree({TOTAL: held.uplink}, {REST: leaves[0]} if leaves else {})
    return held_capacity(tree, wanted, flows)


def uplink_differences(desired: Tree, held: Tree) -> Iterator[str]:
    """How the uplink's class differs from the desired one."""
    if desired.uplink is not None and held.uplink != desired.uplink:
        yield f"class {held.uplink} -> {desired.uplink} (applied -> requested)"
