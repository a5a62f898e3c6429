"""The protocol of all engines, netem and user space."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol, Self

from harness.model.link import Pair
from harness.model.node_plan import NodePlan, PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus, NodeStatus

Pending = Callable[[], NodeStatus]
"""Waits until a change is done and returns the node's status. To be called once, in the node's network namespace;
raises NodeError."""


class EngineFacts(Protocol):
    """Properties of an engine."""

    name: str
    daemon_module: str | None
    """A module whose ``Supervisor`` must run beside the nodes before links can be shaped, or None."""
    kernel_stamps: bool
    """Whether the kernel's receive stamps are right: they are too early where packets wait at their receiver."""
    cuts_super_packets: bool
    """Whether loss, duplication and corruption act on single packets even where open connections send super-packets."""
    fixes_departures: bool
    """Whether a packet's departure is fixed when it is queued, so that a new rate does not apply to packets that wait.
    """
    serves_deliveries: bool
    """Whether it serves packet-delivery traces; else a scenario plays them as rates."""
    shapes_bridge: bool
    """Whether trunks are limited in the bridge's namespace, by ``apply_trunks``; else they are part of ``apply``."""

    def enforced_at(self, edge: Pair) -> int:
        """The rank at which this engine shapes a directed edge: its sender or its receiver."""
        ...

    def check(self, plan: NetworkPlan) -> None:
        """Raise ShapeError where it can never make a plan; to be called before anything is made or changed."""
        ...

    def precision_warnings(self, edges: Iterable[PlannedEdge]) -> list[str]:
        """One line for each reason why it cannot shape some of these edges as exactly as verify demands."""
        ...


class Engine(EngineFacts, Protocol):
    """Shapes directed edges at one of their ends; a node's apply and observe are about the edges shaped there.

    Every node has an engine of its own. It belongs to the network namespace in which it is first used, where it keeps
    sockets open, and it remembers what it read until the kernel or the shaper daemon reports a change.
    """

    def another(self) -> Self:
        """An engine of the same kind, for another node."""
        ...

    def close(self) -> None:
        """Close everything; the engine may be used again."""
        ...

    def begin(self, node: NodePlan, touched: Collection[int] = ()) -> Pending:
        """Begin to ``apply``, so that several nodes' shaper daemons can work at the same time."""
        ...

    def apply(self, node: NodePlan, touched: Collection[int] = ()) -> NodeStatus:
        """Change the node's edges and shared capacities in place to its plan, and read them back.

        Args:
            node: the desired plan.
            touched: neighbours whose edge to set again even if nothing that can be read back differs.

        Raises:
            NodeError: the kernel refused; names node and edge. Changes made before stay: the caller must roll back.
        """
        ...

    def observe(self, node: NodePlan) -> NodeStatus:
        """Read back without changing anything."""
        ...

    def apply_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """Limit the network's trunks in the bridge's namespace, the current one, and read them back, by ``trunk a->b``.

        Does nothing for an engine that does not shape there. Raises HarnessError.
        """
        ...

    def observe_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """Read them back without changing anything."""
        ...
