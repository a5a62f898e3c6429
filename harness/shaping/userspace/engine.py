"""Links made in user space, at their receiver: rules send what comes from a neighbour to a queue of a process."""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from harness.errors import NodeError, UnavailableError
from harness.linux.host import has_ipv6
from harness.model.node_plan import NodePlan
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus, NodeStatus, Stats
from harness.netlink.nfnetlink import Nfnetlink
from harness.netlink.routes import default_gateways
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps.uplink import apply_uplink, with_uplink
from harness.shaping.facts import UserspaceFacts
from harness.shaping.node_tree import tree_of
from harness.shaping.qdisc import PASS, Branch, Tree
from harness.shaping.qdisc_diff import Action, AddBranch, AddFilter, AddTbf, Change, MoveFilter, diff
from harness.shaping.readback import node_status
from harness.shaping.segments import cut_segments, interface_index
from harness.shaping.userspace import control, rules
from harness.shaping.userspace.cap_order import CapOrder, cap_mismatches, cap_orders
from harness.shaping.userspace.control import Refused
from harness.shaping.userspace.guard import Guard
from harness.shaping.userspace.node_queues import QUEUE_BASE

_REMEDY: Final = {
    errno.ENOENT: "this kernel lacks nf_tables' queue: run 'harness doctor'",
    errno.EPERM: "needs CAP_NET_ADMIN in the node's network namespace",
}
_NO_FRAMES: Final = (
    "this kernel's nf_tables sees no frames (CONFIG_NF_TABLES_NETDEV): those that are neither IP nor ARP pass unshaped"
)


class UserspaceEngine(UserspaceFacts):
    """Makes links with NFQUEUE in the current network namespace, where a process of supervisor.py serves it.

    Args:
        outside: whether nodes may send past their gateway, unshaped.
    """

    def __init__(self, outside: bool = False) -> None:
        self._outside = outside

    def apply(self, node: NodePlan, touched: Collection[int] = ()) -> NodeStatus:
        """See Engine.apply."""
        guard, desired = self._guard(node), _desired(node)
        with Nfnetlink() as netlink:
            observed, answer = _read(netlink, node, guard)
            actions = diff(desired, observed, touched)
            with Rtnetlink() as links:
                cut_segments(links, node, guard.index)
                apply_uplink(links, node, guard.index)
            branches = [action.branch for action in actions if isinstance(action, AddBranch | AddTbf | Change)]
            caps = cap_orders(node)
            if branches or caps != _held_orders(answer):
                request = {"do": "set", "caps": [order.to_json() for order in caps]}
                answer = _ask(node, {**request, "branches": [control.branch_to_json(branch) for branch in branches]})
            if _set_rules(netlink, node, guard, actions, desired, observed):
                observed, answer = _read(netlink, node, guard)
            else:  # the rules are as they were read, and the answer has what the daemon holds now
                observed = replace(observed, branches=_branches(answer))
            return with_uplink(_reading(netlink, node, desired, observed, answer), node, guard.index)

    def observe(self, node: NodePlan) -> NodeStatus:
        """See Engine.observe."""
        guard = self._guard(node)
        with Nfnetlink() as netlink:
            return with_uplink(_reading(netlink, node, _desired(node), *_read(netlink, node, guard)), node, guard.index)

    def apply_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """See Engine.apply_trunks: the receivers' shaper daemon limits them."""
        return {}

    observe_trunks = apply_trunks

    def _guard(self, node: NodePlan) -> Guard:
        net, index = node.addressing, interface_index(node)
        own = tuple(net.address(node.rank, version) for version in net.versions)
        ways: list[IPv4Address | IPv6Address] = []
        if self._outside:
            with Rtnetlink() as links:
                ways = [way for version in net.versions for way in default_gateways(links, version, index)]
        return Guard(index, own, (net.ipv4_net, net.ipv6_net), tuple(ways), node.forwards)


def _desired(node: NodePlan) -> Tree:
    sharing = {neighbour for order in cap_orders(node) for neighbour in order.neighbours}
    return tree_of(node, node.ingress, node.addressing.versions if has_ipv6() else (4,), sharing)


def _ask(node: NodePlan, request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return control.ask(request)
    except Refused as refusal:
        near = refusal.neighbour
        what = "shape its edges" if near is None else f"make edge {near}->{node.rank}"
        raise NodeError(node.rank, f"{what} in user space", refusal.text) from None
    except UnavailableError as problem:
        raise NodeError(node.rank, "reach its shaper daemon", str(problem)) from None


def _set_rules(
    netlink: Nfnetlink, node: NodePlan, guard: Guard, actions: Sequence[Action], desired: Tree, observed: Tree
) -> bool:
    """All rules in one transaction where there are none of ours, or wrong ones; else what is missing.

    Returns whether any was changed.
    """
    filters = {(one.rank, one.version): one.neighbour for one in actions if isinstance(one, AddFilter | MoveFilter)}
    moved = [one for one in actions if isinstance(one, MoveFilter)]
    whole = (desired.rooted and not observed.rooted) or bool(observed.stale)
    if whole:
        filters = {**dict.fromkeys(desired.passing, PASS), **observed.filters, **desired.filters}
    made = [
        rules.Rule(node.addressing.address(rank, version), None if neighbour == PASS else QUEUE_BASE + neighbour)
        for (rank, version), neighbour in filters.items()
    ]
    if not made and not whole:
        return False
    old = [rules.Rule(node.addressing.address(one.rank, one.version), None, handle=one.handle) for one in moved]
    try:
        rules.install(netlink, guard, made) if whole else rules.add(netlink, made, old)
    except OSError as problem:
        remedy = _REMEDY.get(problem.errno or 0, "")
        raise NodeError(node.rank, "send packets to its queues", problem.strerror or str(problem), remedy) from None
    return True


def _read(netlink: Nfnetlink, node: NodePlan, guard: Guard) -> tuple[Tree, dict[str, Any]]:
    """What the shaper daemon and the kernel report, and the daemon's whole answer."""
    answer = _ask(node, {"do": "read"})
    try:
        found = rules.read(netlink, guard)
    except OSError as problem:
        remedy = _REMEDY.get(problem.errno or 0, "")
        raise NodeError(node.rank, "read its rules", problem.strerror or str(problem), remedy) from None
    ways = {rank: port.neighbour for port in node.ingress for rank in port.ranks}
    filters: dict[tuple[int, int], int] = {}
    stale: dict[tuple[int, int], int] = {}
    passing: dict[tuple[int, int], int] = {}
    for rule in found.rules:
        rank, version = node.addressing.rank_of(rule.source), rule.source.version
        if rank in ways and rule.queue is None:
            passing[rank, version] = rule.handle
        elif rank in ways and rule.queue == QUEUE_BASE + ways[rank]:
            filters.setdefault((rank, version), ways[rank])
        else:
            stale[len(stale), version] = rule.handle
    return Tree(found.rooted, _branches(answer), filters, stale, passing, found.rooted), answer


def _branches(answer: Mapping[str, Any]) -> dict[int, Branch]:
    return {int(near): control.branch_from_json(link["branch"]) for near, link in answer["links"].items()}


def _held_orders(answer: Mapping[str, Any]) -> tuple[CapOrder, ...]:
    return tuple(CapOrder.from_json(cap["order"]) for cap in answer.get("caps", ()))


def _reading(
    netlink: Nfnetlink, node: NodePlan, desired: Tree, observed: Tree, answer: Mapping[str, Any]
) -> NodeStatus:
    names = vars(Stats())
    stats = {int(near): Stats(**{name: link[name] for name in names}) for near, link in answer["links"].items()}
    notes = [*answer["events"], *([] if not desired.rooted or rules.sees_frames(netlink) else [_NO_FRAMES])]
    found = node_status(node.ingress, replace(desired, sealed=False), observed, stats, notes, node.mtu)
    orders, held = cap_orders(node), _held_orders(answer)
    counted = (Stats(**{name: cap[name] for name in names}) for cap in answer.get("caps", ()))
    found = replace(
        found,
        caps={order.name: CapStatus(order.capacity, stats) for order, stats in zip(held, counted, strict=True)},
        cap_mismatches=tuple(cap_mismatches(orders, held)),
    )
    if not desired.rooted or observed.rooted:
        return found
    shaped = (port.edge.pair for port in node.ingress if port.neighbour in desired.branches)
    damaged = tuple((pair, "the rules that queue its packets are damaged") for pair in shaped)
    return replace(found, mismatches=found.mismatches + damaged)
