"""The difference between two plans of a network: which nodes must act, and how it is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.model.link import Pair
from harness.model.plan import NetworkPlan
from harness.model.regions import RegionPair
from harness.run_files import RunFolder
from harness.shaping.base import EngineFacts


@dataclass(frozen=True)
class PlanChange:
    """From one plan to another with the same nodes and edges."""

    old: NetworkPlan
    new: NetworkPlan

    @cached_property
    def edges(self) -> frozenset[Pair]:
        """The directed edges that have changed."""
        old = self.old.edges
        return frozenset(p for p, edge in self.new.edges.items() if edge is not old[p] and edge != old[p])

    @cached_property
    def nodes(self) -> tuple[int, ...]:
        """The ranks whose uplink, downlink or CPU share has changed."""
        ranks = sorted({*self.old.nodes, *self.new.nodes})
        return tuple(rank for rank in ranks if self.old.node_shape(rank) != self.new.node_shape(rank))

    @cached_property
    def trunks(self) -> tuple[RegionPair, ...]:
        """The trunks that have changed, by (from, to)."""
        old, new = self.old.trunk_capacities, self.new.trunk_capacities
        return tuple(ways for ways in sorted({*old, *new}) if old.get(ways) != new.get(ways))

    def __bool__(self) -> bool:
        return bool(self.edges or self.nodes or self.trunks)

    def ranks(self, engine: EngineFacts) -> list[int]:
        """The nodes that must apply their new plan."""
        if self.new.network_wide != self.old.network_wide:
            return list(range(self.new.size))
        pairs = set(self.edges)
        if not engine.shapes_bridge:
            changed = {"->".join(ways) for ways in self.trunks}
            pairs |= {p for plan in (self.old, self.new) for t in plan.trunks if t.name in changed for p in t.edges}
        return sorted({*self.nodes, *map(engine.enforced_at, pairs)})

    def record(self, asked: float, acknowledged: float, at: float | None = None) -> dict[str, Any]:
        """A line of changes.jsonl; see docs/runs.md.

        Args:
            asked: when the change began, seconds since the epoch.
            acknowledged: when it was applied, likewise.
            at: when it was due, in seconds from a scenario's start; None: it is not a scenario's.
        """
        old, new = self.old, self.new
        trunks = {ways: [_json(plan.trunk_capacities.get(ways)) for plan in (old, new)] for ways in self.trunks}
        return {
            "asked": asked,
            "acknowledged": acknowledged,
            **({} if at is None else {"at": at}),
            "edges": [
                {
                    "src": pair[0],
                    "dst": pair[1],
                    "before": old.edges[pair].to_json(),
                    "after": new.edges[pair].to_json(),
                }
                for pair in sorted(self.edges)
            ],
            "nodes": [
                {"rank": rank, "before": old.node_shape(rank).to_json(), "after": new.node_shape(rank).to_json()}
                for rank in self.nodes
            ],
            "trunks": [
                {"from": src, "to": dst, "before": before, "after": after}
                for (src, dst), (before, after) in trunks.items()
            ],
        }

    def write(self, folder: RunFolder, asked: float, acknowledged: float, at: float | None = None) -> None:
        """Add the change to a run's record, with the new packet-delivery traces. Raises HarnessError."""
        now = (self.new.edges[pair].shape.delivery for pair in sorted(self.edges))
        traces = {one.record_name: one.recorded() for one in now if one is not None}
        folder.change(self.record(asked, acknowledged, at), traces)

    def amendment(self) -> dict[str, Any]:
        """The difference in JSON; see Registration.amended."""
        found: dict[str, Any] = {"edges": [self.new.edges[pair].to_json() for pair in sorted(self.edges)]}
        if any(self.new.edges[pair].shape.delivery != self.old.edges[pair].shape.delivery for pair in self.edges):
            found["deliveries"] = self.new.deliveries
        return found | (self.new.caps_to_json() if self.nodes or self.trunks else {})


def _json(value: Any) -> Any:
    return None if value is None else value.to_json()
