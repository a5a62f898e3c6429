"""The nf_tables rules of a node in terms of its plan: packets from which rank wait in which link queue."""

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
    """The rules in the current network namespace. It reads them again only when the kernel's count of changes to
    nf_tables there has grown, whoever made the change."""

    def __init__(self) -> None:
        self._netlink = Nfnetlink()
        self._known: tuple[object, Tree] = (None, EMPTY)

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    @property
    def sees_frames(self) -> bool:
        """Whether this kernel's nf_tables can drop frames that are neither IP nor ARP. Raises OSError."""
        return rules.sees_frames(self._netlink)

    def read(self, node: NodePlan, guard: Guard) -> Tree:
        """The rules as a tree without branches; ``guard`` is the one that should be there. Raises NodeError."""
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
        ours = {prefix: prefix for prefix in ways}  # comparing an object with itself takes no time
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
        """Change the rules to the desired ones and read them back, as a tree without branches. Raises NodeError."""
        observed = self.read(node, guard)
        if _same(desired, observed):
            return observed
        actions = diff(replace(desired, branches={}), observed)
        return self.read(node, guard) if self._change(node, guard, actions, desired, observed) else observed

    def _change(self, node: NodePlan, guard: Guard, actions: Sequence[Action], desired: Tree, observed: Tree) -> bool:
        """Replace all rules where ours are missing or wrong; else add what is missing. Returns whether it did any."""
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
