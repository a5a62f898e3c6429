"""What a maker of links can do, whichever way it makes them. Every call acts on the current network namespace."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from harness.model.plan import NodePlan, Pair, PlannedEdge
from harness.model.status import NodeStatus


class Engine(Protocol):
    """Makes every directed edge at one of its two ends; a node's apply and observe are about the edges made there."""

    name: str
    daemon_module: str | None
    """A module whose ``Supervisor`` must keep processes alive beside the nodes before links can be made, or None."""
    kernel_stamps: bool
    """Whether the kernel's receive stamps are true: they are too early where packets are held at their receiver."""
    cuts_super_packets: bool
    """Whether chance meets single packets also where connections that are open already send super-packets."""

    def enforced_at(self, edge: Pair) -> int:
        """The rank at which this engine makes a directed edge: its sender or its receiver."""
        ...

    def precision_warnings(self, edges: Iterable[PlannedEdge]) -> list[str]:
        """One line for each reason why it cannot make some of these edges as exactly as verify asks for."""
        ...

    def apply(self, node: NodePlan, touched: Collection[int] = ()) -> NodeStatus:
        """Turn what the kernel holds into the node's plan, in place, and read it back.

        Args:
            node: the desired plan.
            touched: neighbours whose edge is set again even where all that can be read is right already.

        Raises:
            NodeError: the kernel refused; names node and edge. What was applied before stays: the caller rolls back.
        """
        ...

    def observe(self, node: NodePlan) -> NodeStatus:
        """Read back without changing anything."""
        ...
