"""What every engine can do, netem or user space."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol, Self

from harness.model.link import Pair
from harness.model.node_plan import NodePlan, PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus, NodeStatus

Pending = Callable[[], NodeStatus]
"""Something that has begun: waits until it is done, and says what the node holds then. Called once, in the node's
network namespace; raises NodeError.
"""


class EngineFacts(Protocol):
    """What an engine is like, wherever the nodes are that it shapes."""

    name: str
    daemon_module: str | None
    """A module whose ``Supervisor`` must run beside the nodes before links can be shaped, or None."""
    kernel_stamps: bool
    """Whether the kernel's receive stamps are true: they are too early where packets wait at their receiver."""
    cuts_super_packets: bool
    """Whether loss, duplication and corruption act on single packets even where open connections send super-packets."""
    fixes_departures: bool
    """Whether a packet's departure is fixed when it is queued, so that a new rate does not hold for what waits."""

    serves_deliveries: bool
    """Whether it serves packet-delivery traces; else a scenario plays them as rates."""
    shapes_bridge: bool
    """Whether trunks are limited in the bridge's namespace, by ``apply_trunks``; else they are part of ``apply``."""

    def enforced_at(self, edge: Pair) -> int:
        """The rank at which this engine shapes a directed edge: its sender or its receiver."""
        ...

    def check(self, plan: NetworkPlan) -> None:
        """Raise ShapeError where it can never make such a plan; called before anything is made or changed."""
        ...

    def precision_warnings(self, edges: Iterable[PlannedEdge]) -> list[str]:
        """One line for each reason why it cannot shape some of these edges as exactly as verify asks for."""
        ...


class Engine(EngineFacts, Protocol):
    """Shapes every directed edge at one of its two ends; a node's apply and observe concern the edges shaped there.

    It acts on the network namespace in which it is first used, keeps open what it asks there, and remembers what it
    read as long as the kernel, or the shaper daemon, says that it has not changed. Every node has an engine of its own.
    """

    def another(self) -> Self:
        """One of the same kind, for another node."""
        ...

    def close(self) -> None:
        """Keep nothing open; it may be used again."""
        ...

    def begin(self, node: NodePlan, touched: Collection[int] = ()) -> Pending:
        """Begin to ``apply``: where a process has to do its part, others can be asked meanwhile."""
        ...

    def apply(self, node: NodePlan, touched: Collection[int] = ()) -> NodeStatus:
        """Change the kernel's state in place into what the node's plan asks for, caps included, and read it back.

        Args:
            node: the desired plan.
            touched: neighbours whose edge is set again even where nothing that can be read back differs.

        Raises:
            NodeError: the kernel refused; names node and edge. What was applied before it stays: the caller rolls back.
        """
        ...

    def observe(self, node: NodePlan) -> NodeStatus:
        """Read back without changing anything."""
        ...

    def apply_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """Limit the network's trunks in the bridge's namespace, which is the current one; read back, by ``trunk a->b``.

        An engine that does not shape there does nothing. Raises HarnessError.
        """
        ...

    def observe_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """Read them back without changing anything."""
        ...
