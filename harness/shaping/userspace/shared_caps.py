"""All shared capacities of one shaper daemon: its nodes' downlinks, and trunks between several nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from harness.shaping.userspace.cap_order import DOWNLINK, CapOrder
from harness.shaping.userspace.control import Refused
from harness.shaping.userspace.counters import NAMES
from harness.shaping.userspace.node_queues import NodeQueues
from harness.shaping.userspace.shared_cap import SharedCap
from harness.shaping.userspace.state import Layout, State

_ELSEWHERE: Final = (
    "{} is shared with nodes of another shaper daemon ({}), because the network started without this trunk;"
    " 'harness down', then 'harness up' with this trunk"
)


class SharedCaps:
    """See the module.

    Args:
        state: where it saves them, and counts.
        layout: of the state.
        ranks: of the daemon's nodes.
    """

    def __init__(self, state: State, layout: Layout, ranks: Sequence[int]) -> None:
        self._state, self._layout, self._ranks = state, layout, ranks
        self._caps: dict[int, SharedCap] = {}
        """By the slot of their counters."""
        self._orders: dict[NodeQueues, tuple[CapOrder, ...]] = {}
        self._trunks: list[str] = state.load(layout.trunk_names) or []

    def load(self, node: NodeQueues) -> None:
        """Make the capacities that an earlier daemon had."""
        saved = self._state.load(self._layout.caps(node.index)) or {"orders": ()}
        self.limit(node, tuple(map(CapOrder.from_json, saved["orders"])), 0)

    def limit(self, node: NodeQueues, orders: tuple[CapOrder, ...], now: int) -> set[NodeQueues]:
        """Limit a node's incoming edges by these capacities and no others, and save them.

        Returns the nodes whose packets it let go, because their capacity is gone. Raises Refused.
        """
        if not orders and self._orders.get(node) == ():
            return set()
        for order in orders:
            if not order.own and (others := [str(rank) for rank in order.nodes if rank not in self._ranks]):
                raise Refused(None, _ELSEWHERE.format(order.name, ", ".join(others)))
        for order in orders:
            slot = self.slot(node, order.name)
            if (cap := self._caps.get(slot)) is None:
                self._caps[slot] = SharedCap(order, self._state.counters(slot))
            else:
                cap.change(order, now)
        self._orders[node] = orders
        text = {"orders": [order.to_json() for order in orders], "slots": self._counted(node)}
        self._state.save(self._layout.caps(node.index), text)
        wanted = {self.slot(of, order.name) for of, theirs in self._orders.items() for order in theirs}
        gone = {self._caps.pop(slot) for slot in list(self._caps) if slot not in wanted}
        touched: set[NodeQueues] = set()
        for cap in gone:
            cap.open(now)
        forward(gone, now, touched)
        self.link(node)
        return touched

    def link(self, node: NodeQueues) -> None:
        """Send the packets of the node's link queues through its capacities, one after the other."""
        orders = self._orders[node]
        for number, link_queue in node.link_queues.items():
            near = link_queue.branch.neighbour
            chain = [self._caps[self.slot(node, order.name)] for order in orders if near in order.neighbours]
            node.cross(number, [cap.flow(link_queue, node) for cap in chain])

    def slot(self, node: NodeQueues, name: str) -> int:
        """The slot of a capacity's counters in the state."""
        if name == DOWNLINK:
            return self._layout.downlink(node.index)
        if name not in self._trunks:
            self._trunks.append(name)
            self._state.save(self._layout.trunk_names, self._trunks)
        return self._layout.trunk(self._trunks.index(name))

    def of(self, node: NodeQueues) -> dict[str, SharedCap]:
        """The node's capacities, by name."""
        return {order.name: self._caps[self.slot(node, order.name)] for order in self._orders[node]}

    def _counted(self, node: NodeQueues) -> dict[str, int]:
        """The slots of the capacities that this node reports; only the first node of a trunk reports it."""
        rank = self._ranks[node.index]  # in a container, which has no trunks, it is not the node's rank
        counted = (order.name for order in self._orders[node] if order.own or rank == min(order.nodes))
        return {name: self.slot(node, name) for name in counted}

    def reading(self, node: NodeQueues) -> list[dict[str, Any]]:
        """The node's capacities and their counters, as JSON; zeros where another node reports them."""
        found, slots, caps = [], self._counted(node), self.of(node)
        for order in self._orders[node]:
            cap = caps[order.name]
            counts = cap.counters if order.name in slots else [0] * len(NAMES)
            held = replace(order, capacity=cap.order.capacity, flows=cap.order.flows)
            found.append({"order": held.to_json(), **dict(zip(NAMES, counts, strict=True))})
        return found


def forward(caps: set[SharedCap], until: int, touched: set[NodeQueues]) -> None:
    """Let these capacities forward what is due; the capacities that packets enter then do too, and are added."""
    for cap in [cap for cap in caps if not cap.own]:
        caps |= cap.forward(until, touched)
    for cap in caps:
        if cap.own:
            cap.forward(until, touched)
