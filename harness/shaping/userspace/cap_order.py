"""Which shared capacities a node's engine asks its shaper daemon for; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from harness.model.address import MTU
from harness.model.capacity import Capacity
from harness.model.node_plan import NodePlan

DOWNLINK: Final = "downlink"


@dataclass(frozen=True)
class CapOrder:
    """A shared capacity.

    Args:
        name: ``downlink`` of one node, or e.g. ``trunk eu->us`` of several.
        capacity: the rate and its queue.
        flows: how many edges share it, at all nodes; each has an equal part of the buffer.
        neighbours: whose edges to this node share it.
        nodes: the ranks to which the sharing edges lead; one daemon must have all of them.
        mtu: of the network.
    """

    name: str
    capacity: Capacity
    flows: int
    neighbours: tuple[int, ...]
    nodes: tuple[int, ...]
    mtu: int = MTU

    @property
    def own(self) -> bool:
        """Whether it is one node's; packets cross it last."""
        return self.name == DOWNLINK

    def __str__(self) -> str:
        edges = ", ".join(map(str, self.neighbours))
        return f"{self.capacity.describe()} for {self.flows} edges, from {edges} here"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**vars(self), "capacity": self.capacity.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        capacity, neighbours = Capacity.from_json(data["capacity"]), tuple(data["neighbours"])
        return cls(data["name"], capacity, data["flows"], neighbours, tuple(data["nodes"]), data["mtu"])


def cap_orders(node: NodePlan) -> tuple[CapOrder, ...]:
    """The capacities that a node's incoming edges share, in the order in which packets cross them."""
    found = []
    for trunk in node.trunks:
        if near := tuple(port.neighbour for port in node.ingress if port.trunk == trunk.name):
            nodes = tuple(sorted({dst for _, dst in trunk.edges}))
            found.append(CapOrder(f"trunk {trunk.name}", trunk.capacity, len(trunk.edges), near, nodes, node.mtu))
    if node.shape.downlink is not None:
        near = tuple(port.neighbour for port in node.ingress)
        found.append(CapOrder(DOWNLINK, node.shape.downlink, len(near), near, (node.rank,), node.mtu))
    return tuple(found)


def cap_mismatches(wanted: Iterable[CapOrder], held: Iterable[CapOrder]) -> Iterator[tuple[str, str]]:
    """(name, what differs) for every capacity that differs from what was requested."""
    found = {order.name: order for order in held}
    for order in wanted:
        have = found.pop(order.name, None)
        if have is None:
            yield order.name, "nothing limits it"
        elif have != order:
            yield order.name, f"{have} (applied) -> {order} (requested)"
    for name, order in found.items():
        yield name, f"{order} limits it, and nothing should"
