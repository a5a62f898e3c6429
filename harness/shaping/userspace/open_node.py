"""What the user-space engine keeps open in a node's network namespace, and what it knows about the state there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from harness.errors import NodeError, UnavailableError
from harness.linux.host import has_ipv6
from harness.model.delivery import packed_traces
from harness.model.node_plan import NodePlan
from harness.model.status import CapStatus, NodeStatus, Stats
from harness.netlink.routes import default_gateways
from harness.netlink.rtnetlink import LinkWatch, Rtnetlink
from harness.shaping.caps.uplink import apply_uplink, with_uplink
from harness.shaping.node_tree import Computed, tree_of
from harness.shaping.qdisc import Branch, Tree
from harness.shaping.qdisc_diff import AddBranch, AddTbf, Change, diff_branches
from harness.shaping.readback import node_status
from harness.shaping.segments import cut_segments
from harness.shaping.userspace import control
from harness.shaping.userspace.cap_order import CapOrder, cap_mismatches, cap_orders
from harness.shaping.userspace.control import Conversation, Refused
from harness.shaping.userspace.guard import Guard
from harness.shaping.userspace.node_rules import NodeRules

_READ: Final = {"do": "read"}
_NO_FRAMES: Final = (
    "this kernel's nf_tables sees no frames (CONFIG_NF_TABLES_NETDEV): frames that are neither IP nor ARP pass unshaped"
)


class OpenNode:
    """See the module.

    Args:
        node: any plan of the node.
        index: of its interface.
    """

    def __init__(self, node: NodePlan, index: int) -> None:
        self.index = index
        self._versions = node.addressing.versions if has_ipv6() else (4,)
        self._links, self._watch, self._rules = Rtnetlink(), LinkWatch(), NodeRules()
        self._daemon = Conversation()
        self._held: dict[str, Any] | None = None
        """The daemon's last answer; None: we do not know what the daemon holds."""
        self._branches: dict[int, Branch] = {}
        self._texts: dict[int, tuple[dict[str, Any], Branch]] = {}
        """The branches sent or received last, by neighbour, with their JSON."""
        self._computed = Computed()
        self._segments: tuple[int | None, ...] = ()
        self._uplink: tuple[Any, NodeStatus] = None, NodeStatus({})
        self._guard: tuple[Any, Guard | None] = None, None

    def close(self) -> None:
        """Close all of it."""
        for each in (self._links, self._watch, self._rules, self._daemon):
            each.close()

    def stirred(self) -> bool:
        """Whether the interface or its qdiscs have changed since the last call; forgets the uplink's status then."""
        if changed := self._watch.changed():
            self._uplink = None, NodeStatus({})
        return changed

    def guard(self, node: NodePlan, outside: bool) -> Guard:
        """The node's guard; with ``outside``, packets from beyond its gateways may pass, too."""
        net = node.addressing
        ways: list[IPv4Address | IPv6Address] = []
        if outside:
            ways = [way for version in net.versions for way in default_gateways(self._links, version, self.index)]
        place, (before, guard) = (net, ways, node.forwards), self._guard
        if guard is None or before != place:
            own = tuple(net.address(node.rank, version) for version in net.versions)
            guard = Guard(self.index, own, (net.ipv4_net, net.ipv6_net), tuple(ways), node.forwards)
            self._guard = place, guard
        return guard

    def desired(self, node: NodePlan) -> Tree:
        """The tree of the incoming edges; the guard's rules drop what matches no filter."""
        sharing = {neighbour for order in cap_orders(node) for neighbour in order.neighbours}
        return tree_of(node, node.ingress, self._versions, sharing, self._computed, sealed=False)

    def begin(self, node: NodePlan, desired: Tree, touched: Collection[int]) -> None:
        """Change the interface and its uplink, and send the daemon its request."""
        if self._segments != (node.max_segments,):
            cut_segments(self._links, node, self.index)
            self._segments = (node.max_segments,)
        if self._uplink_of(node) != self._uplink[0]:
            apply_uplink(self._links, node, self.index)
        self._ask(node, self._order(node, desired, touched) or _READ)

    def finish(self, node: NodePlan, guard: Guard, desired: Tree, touched: Collection[int]) -> NodeStatus:
        """Wait for the daemon's answer; then send packets to its queues."""
        first = self._held is None
        self._take(node)
        if order := self._order(node, desired, touched if first else ()):  # it holds something else than we assumed
            self._ask(node, order)
            self._take(node)
        return self._status(node, desired, self._rules.make(node, guard, desired))

    def observe(self, node: NodePlan, guard: Guard, desired: Tree) -> NodeStatus:
        """Read everything, also counters."""
        self._uplink = None, NodeStatus({})
        self._ask(node, _READ)
        self._take(node)
        return self._status(node, desired, self._rules.read(node, guard))

    def _order(self, node: NodePlan, desired: Tree, touched: Collection[int]) -> dict[str, Any] | None:
        """The request for what the daemon lacks; None: it lacks nothing, or we do not know."""
        if self._held is None:
            return None
        actions = diff_branches(desired.branches, self._branches, touched)
        branches = {one.branch.neighbour: one.branch for one in actions if isinstance(one, AddBranch | AddTbf | Change)}
        orders = [order.to_json() for order in cap_orders(node)]
        if not branches and orders == [cap["order"] for cap in self._held.get("caps", ())]:
            return None
        self._texts |= {near: (control.branch_to_json(branch), branch) for near, branch in branches.items()}
        return {
            "do": "set",
            "caps": orders,
            "branches": [self._texts[near][0] for near in branches],
            "deliveries": self._traces(branches.values()),
        }

    def _traces(self, branches: Iterable[Branch]) -> dict[str, str]:
        """The packet-delivery traces of these branches that the daemon does not have yet."""
        held = {branch.delivery.digest for branch in self._branches.values() if branch.delivery}
        needed = (branch.delivery for branch in branches)
        return packed_traces(one for one in needed if one is not None and one.digest not in held)

    def _ask(self, node: NodePlan, request: Mapping[str, Any]) -> None:
        try:
            self._daemon.send(request)
        except UnavailableError as problem:
            raise NodeError(node.rank, "reach its shaper daemon", str(problem)) from None

    def _take(self, node: NodePlan) -> None:
        """Receive the daemon's answer: what it holds now."""
        self._held = None
        try:
            answer = self._daemon.receive()
        except Refused as refusal:
            near = refusal.neighbour
            what = "shape its edges" if near is None else f"make edge {near}->{node.rank}"
            raise NodeError(node.rank, f"{what} in user space", refusal.text) from None
        except UnavailableError as problem:
            raise NodeError(node.rank, "reach its shaper daemon", str(problem)) from None
        self._held = answer
        self._branches = {int(near): self._branch(int(near), link["branch"]) for near, link in answer["links"].items()}

    def _branch(self, near: int, text: dict[str, Any]) -> Branch:
        known = self._texts.get(near)
        if known is None or known[0] != text:
            known = self._texts[near] = text, control.branch_from_json(text)
        return known[1]

    def _status(self, node: NodePlan, desired: Tree, rules: Tree) -> NodeStatus:
        """The node's status by the daemon's answer and the tree of the rules."""
        assert self._held is not None
        names, answer, observed = vars(Stats()), self._held, replace(rules, branches=self._branches)
        stats = {int(near): Stats(**{name: link[name] for name in names}) for near, link in answer["links"].items()}
        notes = [*answer["events"], *([] if not desired.rooted or self._rules.sees_frames else [_NO_FRAMES])]
        found = node_status(node.ingress, desired, observed, stats, notes, node.mtu)
        held = tuple(CapOrder.from_json(cap["order"]) for cap in answer.get("caps", ()))
        counted = (Stats(**{name: cap[name] for name in names}) for cap in answer.get("caps", ()))
        uplink, orders = self._uplink_status(node), cap_orders(node)
        if uplink.caps or uplink.cap_mismatches or held or orders:
            caps = {order.name: CapStatus(order.capacity, stats) for order, stats in zip(held, counted, strict=True)}
            wrong = (*cap_mismatches(orders, held), *uplink.cap_mismatches)
            found = replace(found, caps=caps | dict(uplink.caps), cap_mismatches=wrong)
        if not desired.rooted or observed.rooted:
            return found
        shaped = (port.edge.pair for port in node.ingress if port.neighbour in desired.branches)
        damaged = tuple((pair, "the rules that queue its packets are damaged") for pair in shaped)
        return replace(found, mismatches=found.mismatches + damaged)

    def _uplink_status(self, node: NodePlan) -> NodeStatus:
        """A status of the uplink alone; reads it again after the kernel has reported a change."""
        place = self._uplink_of(node)
        if self.stirred() or place != self._uplink[0]:
            self._uplink = place, with_uplink(NodeStatus({}), node, self.index)
        return self._uplink[1]

    def _uplink_of(self, node: NodePlan) -> Any:
        """All that determines the tree of a node's uplink."""
        return node.shape.uplink, node.mtu, node.addressing, [(port.neighbour, port.ranks) for port in node.egress]
