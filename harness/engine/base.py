"""What a maker of links can do, whichever way it makes them. Every call acts on the current network namespace."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from harness.plan import NodePlan
from harness.reading import NodeReading

INTERFACE = "eth0"
"""The one interface of every node."""


class Engine(Protocol):
    """Makes the links that leave a node."""

    name: str

    def apply(self, node: NodePlan, touched: Collection[int] = ()) -> NodeReading:
        """Turn what the kernel holds into the node's plan, in place, and read it back.

        Args:
            node: the desired plan.
            touched: neighbours whose edge is set again even where all that can be read is right already.

        Raises:
            NodeError: the kernel refused; names node and edge. What was applied before stays: the caller rolls back.
        """
        ...

    def observe(self, node: NodePlan) -> NodeReading:
        """Read back without changing anything."""
        ...
