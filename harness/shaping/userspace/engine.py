"""Links made in user space, at their receiver: rules send what comes from a neighbour to a queue of a process."""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from harness.errors import NodeError, UnavailableError
from harness.linux.host import has_ipv6
from harness.model.plan import NodePlan
from harness.model.status import NodeStatus, Stats
from harness.netlink.nfnetlink import Nfnetlink
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.facts import UserspaceFacts
from harness.shaping.qdisc import Tree, tree_of
from harness.shaping.qdisc_diff import AddBranch, AddFilter, AddTbf, Change, diff
from harness.shaping.readback import node_status
from harness.shaping.segments import cut_segments, interface_index
from harness.shaping.userspace import control, rules
from harness.shaping.userspace.control import Refused
from harness.shaping.userspace.node_queues import QUEUE_BASE

_REMEDY: Final = {
    errno.ENOENT: "this kernel lacks nf_tables' queue: run 'harness doctor'",
    errno.EPERM: "needs CAP_NET_ADMIN in the node's network namespace",
}


class UserspaceEngine(UserspaceFacts):
    """Makes links with NFQUEUE in the current network namespace, where a process of supervisor.py serves it."""

    def apply(self, node: NodePlan, touched: Collection[int] = ()) -> NodeStatus:
        """See Engine.apply."""
        index, desired = interface_index(node), _desired(node)
        with Nfnetlink() as netlink:
            observed, _ = _read(netlink, node, index)
            actions = diff(desired, observed, touched)
            with Rtnetlink() as links:
                cut_segments(links, node, index)
            branches = [action.branch for action in actions if isinstance(action, AddBranch | AddTbf | Change)]
            if branches:
                _ask(node, {"do": "set", "lines": [control.branch_to_json(branch) for branch in branches]})
            added = [action for action in actions if isinstance(action, AddFilter)]
            _add_rules(netlink, node, index, added, desired, observed)
            return _reading(node, desired, *_read(netlink, node, index))

    def observe(self, node: NodePlan) -> NodeStatus:
        """See Engine.observe."""
        with Nfnetlink() as netlink:
            return _reading(node, _desired(node), *_read(netlink, node, interface_index(node)))


def _desired(node: NodePlan) -> Tree:
    return tree_of(node.ingress, node.seed, node.addressing.versions if has_ipv6() else (4,))


def _ask(node: NodePlan, request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return control.ask(request)
    except Refused as refusal:
        edge = "" if refusal.neighbour is None else f" {refusal.neighbour}->{node.rank}"
        raise NodeError(node.rank, f"make edge{edge} in user space", refusal.text) from None
    except UnavailableError as problem:
        raise NodeError(node.rank, "reach its shaper daemon", str(problem)) from None


def _add_rules(
    netlink: Nfnetlink, node: NodePlan, index: int, added: Sequence[AddFilter], desired: Tree, observed: Tree
) -> None:
    """All rules in one transaction where there are none of ours, or wrong ones; else what is missing."""
    whole = bool(not observed.rooted or observed.stale)
    filters = {(action.rank, action.version): action.neighbour for action in added}
    if whole:
        filters = {**observed.filters, **desired.filters}
    made = [
        rules.Rule(node.addressing.address(rank, version), QUEUE_BASE + neighbour)
        for (rank, version), neighbour in filters.items()
    ]
    if not made and not observed.stale:
        return
    try:
        rules.install(netlink, index, made) if whole else rules.add(netlink, made)
    except OSError as problem:
        remedy = _REMEDY.get(problem.errno or 0, "")
        raise NodeError(node.rank, "send packets to its queues", problem.strerror or str(problem), remedy) from None


def _read(netlink: Nfnetlink, node: NodePlan, index: int) -> tuple[Tree, dict[str, Any]]:
    """What the process and the kernel hold, and the process's whole answer."""
    answer = _ask(node, {"do": "read"})
    branches = {int(near): control.branch_from_json(line["branch"]) for near, line in answer["lines"].items()}
    try:
        held = rules.read(netlink, index)
    except OSError as problem:
        remedy = _REMEDY.get(problem.errno or 0, "")
        raise NodeError(node.rank, "read its rules", problem.strerror or str(problem), remedy) from None
    ways = {rank: port.neighbour for port in node.ingress for rank in port.ranks}
    filters: dict[tuple[int, int], int] = {}
    stale: dict[tuple[int, int], int] = {}
    for rule in held.rules:
        rank = node.addressing.rank_of(rule.source)
        if rank is None or ways.get(rank) != rule.queue - QUEUE_BASE:
            stale[len(stale), rule.source.version] = rule.queue
        else:
            filters.setdefault((rank, rule.source.version), rule.queue - QUEUE_BASE)
    return Tree(held.rooted, branches, filters, stale), answer


def _reading(node: NodePlan, desired: Tree, observed: Tree, answer: Mapping[str, Any]) -> NodeStatus:
    names = vars(Stats())
    stats = {int(near): Stats(**{name: line[name] for name in names}) for near, line in answer["lines"].items()}
    found = node_status(node.ingress, desired, observed, stats, answer["events"])
    if not desired.rooted or observed.rooted:
        return found
    shaped = (port.edge.pair for port in node.ingress if port.neighbour in desired.branches)
    damaged = tuple((pair, "the rules that queue its packets are damaged") for pair in shaped)
    return replace(found, mismatches=found.mismatches + damaged)
