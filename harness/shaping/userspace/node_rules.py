"""The nf_tables rules of a node in terms of its plan: what comes from which rank waits in which link queue."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from harness.errors import NodeError
from harness.model.node_plan import NodePlan
from harness.netlink.nfnetlink import Nfnetlink
from harness.netlink.nft_steps import generation
from harness.shaping.qdisc import EMPTY, PASS, Prefix, Tree
from harness.shaping.qdisc_diff import Action, AddFilter, MoveFilter, diff
from harness.shaping.userspace import rules
from harness.shaping.userspace.guard import Guard
from harness.shaping.userspace.node_queues import QUEUE_BASE

_REMEDY: Final = {
    errno.ENOENT: "this kernel lacks nf_tables' queue: run 'harness doctor'",
    errno.EPERM: "needs CAP_NET_ADMIN in the node's network namespace",
}


class NodeRules:
    """The rules in the network namespace in which this is made; read again only when the kernel says that any changed.

    The kernel counts the changes of nf_tables in a namespace, whoever makes them.
    """

    def __init__(self) -> None:
        self._netlink = Nfnetlink()
        self._known: tuple[object, Tree] = (None, EMPTY)

    def close(self) -> None:
        """Ask no more."""
        self._netlink.close()

    @property
    def sees_frames(self) -> bool:
        """Whether this kernel's nf_tables can drop frames that are neither IP nor ARP. Raises OSError."""
        return rules.sees_frames(self._netlink)

    def read(self, node: NodePlan, guard: Guard) -> Tree:
        """The tree without its branches. Raises NodeError.

        Args:
            node: the plan.
            guard: that should be there.
        """
        try:
            number = generation(self._netlink)
            place = number, guard, node.addressing, [(port.neighbour, port.ranks) for port in node.ingress]
            if number is None or place != self._known[0]:
                self._known = place, self._read(node, guard)
            return self._known[1]
        except OSError as problem:
            raise _refused(node, "read its rules", problem) from None

    def _read(self, node: NodePlan, guard: Guard) -> Tree:
        found = rules.read(self._netlink, guard)
        ways = node.ways(node.ingress, node.addressing.versions)
        filters: dict[Prefix, int] = {}
        stale: list[tuple[int, int]] = []
        passing: dict[Prefix, int] = {}
        ours = {prefix: prefix for prefix in ways}  # to compare the same objects takes no time
        for rule in found.rules:
            prefix = ours.get(rule.source)
            if prefix is not None and rule.queue is None:
                passing[prefix] = rule.handle
            elif prefix is not None and rule.queue == QUEUE_BASE + ways[prefix]:
                filters[prefix] = ways[prefix]
            else:
                stale.append((rule.source.version, rule.handle))
        return Tree(found.rooted, {}, filters, tuple(stale), passing, found.rooted)

    def make(self, node: NodePlan, guard: Guard, desired: Tree) -> Tree:
        """Make them as desired, and read them back: the tree without its branches. Raises NodeError."""
        observed = self.read(node, guard)
        if _same(desired, observed):
            return observed
        actions = diff(replace(desired, branches={}), observed)
        return self.read(node, guard) if self._change(node, guard, actions, desired, observed) else observed

    def _change(self, node: NodePlan, guard: Guard, actions: Sequence[Action], desired: Tree, observed: Tree) -> bool:
        """All rules in one transaction where there are none of ours, or wrong ones; else what is missing, if any is."""
        filters = {one.prefix: one.neighbour for one in actions if isinstance(one, AddFilter | MoveFilter)}
        moved = [one for one in actions if isinstance(one, MoveFilter)]
        whole = (desired.rooted and not observed.rooted) or bool(observed.stale)
        if whole:
            filters = {**dict.fromkeys(desired.passing, PASS), **observed.filters, **desired.filters}
        made = [
            rules.Rule(prefix, None if neighbour == PASS else QUEUE_BASE + neighbour)
            for prefix, neighbour in filters.items()
        ]
        if not made and not whole:
            return False
        old = [rules.Rule(one.prefix, None, handle=one.handle) for one in moved]
        try:
            rules.install(self._netlink, guard, made) if whole else rules.add(self._netlink, made, old)
        except OSError as problem:
            raise _refused(node, "send packets to its queues", problem) from None
        return True


def _same(desired: Tree, observed: Tree) -> bool:
    return (desired.rooted, desired.filters, desired.passing.keys(), ()) == (
        observed.rooted,
        observed.filters,
        observed.passing.keys(),
        observed.stale,
    )


def _refused(node: NodePlan, what: str, problem: OSError) -> NodeError:
    return NodeError(node.rank, what, problem.strerror or str(problem), _REMEDY.get(problem.errno or 0, ""))
