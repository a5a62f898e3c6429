"""Undoes what an event has changed when it is over; pure."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from harness.errors import ShapeError
from harness.model.capacity import Capacity
from harness.model.capacity_edit import NODE_LIMITS
from harness.model.cpu import CpuShare
from harness.model.link import LinkShape, Pair
from harness.model.plan import NetworkPlan


@dataclass
class Undo:
    """The old values of what an event has changed; all else stays as other events and users leave it."""

    edges: dict[Pair, dict[str, Any]] = field(default_factory=dict)
    limits: dict[tuple[int, str], Capacity | CpuShare | None] = field(default_factory=dict)
    trunks: dict[tuple[str, str], Capacity | None] = field(default_factory=dict)

    def remember(self, old: NetworkPlan, new: NetworkPlan) -> None:
        """Keep the old values of a change, unless an earlier change of this event has kept them."""
        for pair, edge in new.edges.items():
            if edge != old.edges[pair]:
                found = self.edges.setdefault(pair, {})
                for name, before in _values(old, pair).items():
                    if before != _values(new, pair)[name]:
                        found.setdefault(name, before)
        for rank in {*old.nodes, *new.nodes}:
            for side in NODE_LIMITS:
                before = getattr(old.node_shape(rank), side)
                if before != getattr(new.node_shape(rank), side):
                    self.limits.setdefault((rank, side), before)
        for ways in {*old.trunk_capacities, *new.trunk_capacities}:
            if (before := old.trunk_capacities.get(ways)) != new.trunk_capacities.get(ways):
                self.trunks.setdefault(ways, before)

    def apply(self, plan: NetworkPlan) -> NetworkPlan:
        """The plan with the old values. Raises ShapeError where they contradict what was changed meanwhile."""
        edges = []
        for pair, values in self.edges.items():
            edge, own = plan.edges[pair], {name: value for name, value in values.items() if name in _OF_EDGE}
            shape = {name: value for name, value in values.items() if name not in _OF_EDGE}
            try:
                edges.append(replace(edge, shape=edge.shape.changed(**shape), **own))
            except ShapeError as error:
                raise ShapeError(f"edge {edge} ({edge.shape.describe()}): {error}") from None
        made = plan.changed(edges)
        for (rank, side), limit in self.limits.items():
            made = made.with_nodes({rank: made.node_shape(rank).changed({side: limit})})
        trunks = {ways: one for ways, one in {**made.trunk_capacities, **self.trunks}.items() if one is not None}
        return replace(made, trunk_capacities=dict(sorted(trunks.items())))


_OF_EDGE = ("down", "origin")


def _values(plan: NetworkPlan, pair: Pair) -> dict[str, Any]:
    edge = plan.edges[pair]
    return {name: getattr(edge, name) for name in _OF_EDGE} | {
        one.name: getattr(edge.shape, one.name) for one in fields(LinkShape)
    }
