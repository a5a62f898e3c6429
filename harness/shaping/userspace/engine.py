"""The user-space engine: rules at the receiver send packets of each neighbour to a queue of the shaper daemon."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.model.node_plan import NodePlan
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus, NodeStatus
from harness.shaping.base import Pending
from harness.shaping.facts import UserspaceFacts
from harness.shaping.segments import interface_index
from harness.shaping.userspace.open_node import OpenNode


class UserspaceEngine(UserspaceFacts):
    """Makes links with NFQUEUE in a network namespace that a shaper daemon serves (supervisor.py).

    Args:
        outside: whether nodes may send past their gateway, unshaped.
    """

    def __init__(self, outside: bool = False) -> None:
        self._outside = outside
        self._open: OpenNode | None = None

    def another(self) -> UserspaceEngine:
        """See Engine.another."""
        return UserspaceEngine(self._outside)

    def close(self) -> None:
        """See Engine.close."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def begin(self, node: NodePlan, touched: Collection[int] = ()) -> Pending:
        """See Engine.begin: the daemon works on its own meanwhile."""
        place = self._place(node)
        guard, desired = place.guard(node, self._outside), place.desired(node)
        place.begin(node, desired, touched)
        return lambda: place.finish(node, guard, desired, touched)

    def apply(self, node: NodePlan, touched: Collection[int] = ()) -> NodeStatus:
        """See Engine.apply."""
        return self.begin(node, touched)()

    def observe(self, node: NodePlan) -> NodeStatus:
        """See Engine.observe."""
        place = self._place(node)
        return place.observe(node, place.guard(node, self._outside), place.desired(node))

    def apply_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """See Engine.apply_trunks: nothing to do, for the receivers' shaper daemon limits trunks."""
        return {}

    observe_trunks = apply_trunks

    def _place(self, node: NodePlan) -> OpenNode:
        if self._open is None or self._open.stirred():
            index = interface_index(node)
            if self._open is not None and self._open.index != index:  # somebody has recreated the interface
                self.close()
            self._open = self._open or OpenNode(node, index)
        return self._open
