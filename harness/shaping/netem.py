"""The netem engine: shapes links with the kernel's htb, netem and tbf, many messages per send, and reads them back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from harness.errors import NodeError
from harness.model.node_plan import NodePlan
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus, NodeStatus
from harness.netlink.routes import default_gateways
from harness.netlink.rtnetlink import LinkWatch, Rtnetlink
from harness.shaping import tc_messages as tc
from harness.shaping.base import Pending
from harness.shaping.caps import trunks
from harness.shaping.caps.downlink import apply_downlink, with_downlink
from harness.shaping.caps.uplink import UPLINK
from harness.shaping.facts import NetemFacts
from harness.shaping.netem_read import HeldTree, read_held
from harness.shaping.netem_requests import refusal_error, requests_of
from harness.shaping.node_tree import held_uplink, sender_tree, uplink_differences
from harness.shaping.qdisc import ROOT, Tree
from harness.shaping.qdisc_diff import Action, AddBranch, FilterAction, diff
from harness.shaping.readback import node_status
from harness.shaping.segments import cut_segments, interface_index

Address = IPv4Address | IPv6Address


class NetemEngine(NetemFacts):
    """Shapes the links of a node with qdiscs in one network namespace.

    Args:
        outside: whether nodes may send past their gateway, unshaped.
    """

    def __init__(self, outside: bool = False) -> None:
        self._outside = outside
        self._open: _Open | None = None

    def another(self) -> NetemEngine:
        """See Engine.another."""
        return NetemEngine(self._outside)

    def close(self) -> None:
        """See Engine.close."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def begin(self, node: NodePlan, touched: Collection[int] = ()) -> Pending:
        """See Engine.begin: does all of it, because the kernel needs no time."""
        status = self.apply(node, touched)
        return lambda: status

    def apply(self, node: NodePlan, touched: Collection[int] = ()) -> NodeStatus:
        """See Engine.apply."""
        desired, place = sender_tree(node), self._place(node)
        netlink, index = place.netlink, place.index
        actions = diff(desired, place.known(node, desired).tree, touched)
        cut_segments(netlink, node, index)
        branches = [action for action in actions if not isinstance(action, FilterAction)]
        versions = node.addressing.versions if self._outside else ()
        ways = [way for version in versions for way in default_gateways(netlink, version, index)]
        try:
            _perform(netlink, node, index, ways, branches)
        except NodeError:
            _undo(netlink, index, branches)
            raise
        _perform(netlink, node, index, ways, [action for action in actions if isinstance(action, FilterAction)])
        apply_downlink(netlink, node, index)
        return with_downlink(_status(node, desired, place.read(node, desired)), node, index)

    def observe(self, node: NodePlan) -> NodeStatus:
        """See Engine.observe."""
        desired, place = sender_tree(node), self._place(node)
        return with_downlink(_status(node, desired, place.read(node, desired)), node, place.index)

    def apply_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """See Engine.apply_trunks."""
        return trunks.apply_trunks(plan)

    def observe_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """See Engine.observe_trunks."""
        return trunks.observe_trunks(plan)

    def _place(self, node: NodePlan) -> _Open:
        index = interface_index(node)
        if self._open is not None and self._open.index != index:  # somebody has recreated the interface
            self.close()
        self._open = self._open or _Open(index)
        return self._open


class _Open:
    """What the engine keeps open in a node's network namespace, and what it read there last.

    Args:
        index: of the node's interface.
    """

    def __init__(self, index: int) -> None:
        self.index, self.netlink = index, Rtnetlink()
        self._watch, self._held = LinkWatch(), HeldTree()
        self._of: object = None
        """The _facts for which ``_held`` was read."""

    def close(self) -> None:
        """Close the sockets."""
        self.netlink.close()
        self._watch.close()

    def read(self, node: NodePlan, desired: Tree) -> HeldTree:
        """Read the tree; see read_held."""
        self._watch.changed()  # forget earlier changes
        self._held = read_held(self.netlink, node, self.index, desired)
        self._of = _facts(node)
        return self._held

    def known(self, node: NodePlan, desired: Tree) -> HeldTree:
        """The tree as read last, unless the kernel has reported a change since.

        It always reads a tree with queue disciplines again, because these are read by comparison with the desired ones.
        """
        leaves = any(one.leaf for tree in (desired, self._held.tree) for one in tree.branches.values())
        if self._watch.changed() or self._of != _facts(node) or leaves:
            return self.read(node, desired)
        return self._held


def _facts(node: NodePlan) -> object:
    """What decides which filters are a node's."""
    return node.addressing, [(port.neighbour, port.ranks) for port in node.egress]


def _perform(
    netlink: Rtnetlink, node: NodePlan, index: int, gateways: Sequence[Address], actions: Sequence[Action]
) -> None:
    """Carry out actions in one batch. Raises NodeError."""
    steps = [(action, request) for action in actions for request in requests_of(node, index, gateways, action)]
    refusals = netlink.batch([request for _, request in steps])
    if refusals:
        raise refusal_error(node, [action for action, _ in steps], refusals)


def _undo(netlink: Rtnetlink, index: int, actions: Sequence[Action]) -> None:
    """Remove added branches after a refusal; no filter sends packets into them yet."""
    classes = [action.branch.classid for action in actions if isinstance(action, AddBranch)]
    netlink.batch([tc.request(tc.RTM_DELTCLASS, 0, index, classid, ROOT, "htb") for classid in classes])


def _status(node: NodePlan, desired: Tree, held: HeldTree) -> NodeStatus:
    """The node's status. The kernel does not report jitter tables: it assumes the desired ones."""
    branches = dict(held.tree.branches)
    for port in node.egress:
        if (branch := branches.get(port.neighbour)) is not None:
            netem = replace(branch.netem, distribution=port.edge.shape.distribution)
            branches[port.neighbour] = replace(branch, netem=netem)
    tree = replace(held.tree, branches=branches)
    found = node_status(node.egress, desired, tree, held.stats, mtu=node.mtu)
    applied = held_uplink(node, tree)
    if applied is None and node.shape.uplink is None:
        return found
    return found.with_cap(UPLINK, CapStatus(applied, held.uplink), list(uplink_differences(desired, tree)))
