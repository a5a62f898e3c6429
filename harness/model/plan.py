"""The plan of a network, a value: every edge with its shape, every route, and the capacities that edges share.

Every node computes the same plan from the same topology, profile and seed; nothing here touches the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Self

from harness.errors import PlanError
from harness.model.address import MTU, Addressing
from harness.model.capacity import NO_CAPS, Capacity, NodeShape, Trunk
from harness.model.delivery import packed_traces, remember_traces
from harness.model.link import Pair
from harness.model.node_plan import NodePlan, PlannedEdge, Port
from harness.model.regions import RegionPair, receivers_by_region, trunks_of
from harness.model.routes import destinations_by_hop, routes_from_json, routes_to_json
from harness.model.super_packets import most_segments, most_segments_at

_OF_TOPOLOGY: Final = ("trunks", "_trunk_of", "trunk_receivers", "_neighbours", "_near", "_relays")
"""Cached properties that a copy with other shapes of the same edges takes over."""


@dataclass(frozen=True)
class NetworkPlan:
    """The whole network.

    Args:
        topology, profile: their names, as the user gave them.
        seed: of every draw.
        size: number of nodes; their ranks are 0 to size - 1.
        edges: by (src, dst), both directions of every edge.
        next_hops: per rank and final destination, the neighbour to send to.
        addressing: the subnets.
        nodes: uplinks, downlinks and shares of a CPU by rank, without the nodes that have none.
        regions: the ranks of each region, by its name; empty where the topology has none.
        trunk_capacities: what the edges from one region to another share.
        mtu: bytes of the largest packet, from the network header on.
        ecn: whether TCP in the nodes asks for explicit congestion notification.
    """

    topology: str
    profile: str
    seed: int
    size: int
    edges: Mapping[Pair, PlannedEdge]
    next_hops: Mapping[int, Mapping[int, int]]
    addressing: Addressing = field(default_factory=Addressing)
    nodes: Mapping[int, NodeShape] = field(default_factory=dict)
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    trunk_capacities: Mapping[RegionPair, Capacity] = field(default_factory=dict)
    mtu: int = MTU
    ecn: bool = False

    def node_shape(self, rank: int) -> NodeShape:
        """A node's uplink, downlink and share of a CPU. Raises PlanError for an unknown rank."""
        self.require_rank(rank)
        return self.nodes.get(rank, NO_CAPS)

    @cached_property
    def trunks(self) -> tuple[Trunk, ...]:
        """The trunks with the directed edges that cross them, sorted by name."""
        return trunks_of(self.regions, self.trunk_capacities, self.edges)

    @cached_property
    def _trunk_of(self) -> dict[Pair, Trunk]:
        return {pair: trunk for trunk in self.trunks for pair in trunk.edges}

    @cached_property
    def trunk_receivers(self) -> tuple[tuple[int, ...], ...]:
        """The ranks that trunks into a region lead to, for each region; no rank is in two.

        Regions that edges join count although they have no trunk: one may be set while the network is up.
        """
        return receivers_by_region(self.regions, self.edges)

    def trunk_of(self, pair: Pair) -> Trunk | None:
        """The trunk that a directed edge crosses, if any."""
        return self._trunk_of.get(pair)

    def caps_on(self, pair: Pair) -> dict[str, Capacity]:
        """The capacities that a directed edge shares with others, in the order in which a packet meets them.

        Keys are those of "uplink" (its sender's), "trunk" and "downlink" (its receiver's) that have a limit.
        """
        trunk = self.trunk_of(pair)
        caps = {
            "uplink": self.node_shape(pair[0]).uplink,
            "trunk": trunk.capacity if trunk else None,
            "downlink": self.node_shape(pair[1]).downlink,
        }
        return {kind: capacity for kind, capacity in caps.items() if capacity is not None}

    @property
    def has_caps(self) -> bool:
        """Whether edges share any capacity."""
        return bool(self.trunk_capacities) or any(shape.present for shape in self.nodes.values())

    def edge(self, src: int, dst: int) -> PlannedEdge:
        """One direction of one edge. Raises PlanError for an unknown rank or edge."""
        self.require_rank(src)
        self.require_rank(dst)
        if (src, dst) not in self.edges:
            near = ", ".join(f"{src}-{n}" for n in self.neighbours(src)) or "none"
            raise PlanError(f"there is no edge {src}-{dst} in this {self.topology}; node {src} has: {near}")
        return self.edges[src, dst]

    def require_rank(self, rank: int) -> None:
        """Raise PlanError where the network has no such rank."""
        if not 0 <= rank < self.size:
            raise PlanError(f"there is no rank {rank}; this network has ranks 0 to {self.size - 1}")

    def neighbours(self, rank: int) -> list[int]:
        """The ranks at the other ends of this rank's edges, ascending."""
        return list(self._neighbours.get(rank, ()))

    @cached_property
    def _neighbours(self) -> dict[int, list[int]]:
        near: dict[int, list[int]] = {}
        for src, dst in sorted(self.edges):
            near.setdefault(src, []).append(dst)
        return near

    @cached_property
    def _near(self) -> dict[int, list[tuple[int, tuple[int, ...]]]]:
        """By rank, each neighbour and the destinations behind it; `node` fills it."""
        return {}

    @cached_property
    def _relays(self) -> frozenset[int]:
        return frozenset(hop for hops in self.next_hops.values() for dst, hop in hops.items() if hop != dst)

    def path(self, src: int, dst: int) -> list[PlannedEdge]:
        """The directed edges that a packet from src to dst crosses."""
        self.require_rank(src)
        self.require_rank(dst)
        path = []
        while src != dst:
            hop = self.next_hops[src][dst]
            path.append(self.edges[src, hop])
            src = hop
        return path

    def node(self, rank: int) -> NodePlan:
        """One node's part of the plan.

        Routes are symmetric (Topology.next_hops): packets of a rank arrive from the neighbour that leads to that rank.
        """
        self.require_rank(rank)
        if (near := self._near.get(rank)) is None:
            behind = destinations_by_hop(self.next_hops[rank])
            near = self._near[rank] = [(one, tuple(behind.get(one, ()))) for one in self.neighbours(rank)]

        def port(src: int, dst: int, neighbour: int, ranks: tuple[int, ...]) -> Port:
            trunk = self.trunk_of((src, dst))
            return Port(self.edges[src, dst], neighbour, ranks, trunk.name if trunk else "")

        egress = tuple(port(rank, neighbour, neighbour, ranks) for neighbour, ranks in near)
        ingress = tuple(port(neighbour, rank, neighbour, ranks) for neighbour, ranks in near)
        crossed = {one.trunk for one in (*egress, *ingress)}
        return NodePlan(
            rank=rank,
            addressing=self.addressing,
            egress=egress,
            ingress=ingress,
            forwards=rank in self._relays,
            max_segments=self.max_segments,
            guarded=self.guarded,
            seed=self.seed,
            shape=self.node_shape(rank),
            trunks=tuple(trunk for trunk in self.trunks if trunk.name in crossed),
            mtu=self.mtu,
            ecn=self.ecn,
        )

    @cached_property
    def max_segments(self) -> int | None:
        """The most segments that a TCP super-packet may have, on every node; None: the kernel's default (64 KiB).

        Loss, duplication, queue limits and rates act on whole super-packets. All nodes have the same limit, because a
        relay passes on what others sent.
        """
        limits = list(self._segments.values())
        shared = [capacity for shape in self.nodes.values() for capacity in shape.present.values()]
        shared += self.trunk_capacities.values()
        limits += [1 if capacity.overhead else most_segments_at(capacity.rate, self.mtu) for capacity in shared]
        return min((most for most in limits if most is not None), default=None)

    @cached_property
    def _segments(self) -> dict[Pair, int | None]:
        return {pair: most_segments(edge.shape, self.mtu) for pair, edge in self.edges.items()}

    @cached_property
    def guarded(self) -> bool:
        """Whether nodes drop packets that cross no edge of the plan: where any edge is shaped, down or has a cap.

        It holds for all nodes, because one without shaped edges could go around those of others.
        """
        return self.has_caps or any(not edge.effective.is_unshaped for edge in self.edges.values())

    @property
    def network_wide(self) -> tuple[int | None, bool]:
        """What every node must learn when it changes, even if none of the node's edges changes."""
        return self.max_segments, self.guarded

    def changed(self, edges: Iterable[PlannedEdge]) -> NetworkPlan:
        """A copy with these edges in place of those between the same ranks."""
        changed = {self.edge(*edge.pair).pair: edge for edge in edges}
        made, known = replace(self, edges={**self.edges, **changed}), vars(self)
        vars(made).update({name: known[name] for name in _OF_TOPOLOGY if name in known})
        if "_segments" in known:
            segments = {pair: most_segments(edge.shape, self.mtu) for pair, edge in changed.items()}
            vars(made)["_segments"] = {**self._segments, **segments}
        return made

    def with_nodes(self, shapes: Mapping[int, NodeShape]) -> NetworkPlan:
        """A copy with these node shapes. Raises PlanError for an unknown rank."""
        for rank in shapes:
            self.require_rank(rank)
        merged = {**self.nodes, **shapes}
        return replace(self, nodes={rank: shape for rank, shape in sorted(merged.items()) if shape != NO_CAPS})

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; from_json reads it back."""
        return {
            "topology": self.topology,
            "profile": self.profile,
            "seed": self.seed,
            "ipv4_subnet": str(self.addressing.ipv4_net),
            "ipv6_subnet": str(self.addressing.ipv6_net),
            "nodes": [
                {
                    "rank": rank,
                    "ipv4": str(self.addressing.ipv4(rank)),
                    "ipv6": str(self.addressing.ipv6(rank)) if 6 in self.addressing.versions else None,
                    "neighbours": self.neighbours(rank),
                    "routes": routes_to_json(self.next_hops[rank]),
                }
                for rank in range(self.size)
            ],
            "edges": [self.edges[pair].to_json() for pair in sorted(self.edges)],
            "deliveries": self.deliveries,
            "mtu": self.mtu,
            "ecn": self.ecn,
            "regions": {name: list(ranks) for name, ranks in self.regions.items()},
            **self.caps_to_json(),
        }

    @property
    def deliveries(self) -> dict[str, str]:
        """The packet-delivery traces of its links, each once, as JSON: who reads the edges needs them first."""
        return packed_traces(edge.shape.delivery for edge in self.edges.values())

    def caps_to_json(self) -> dict[str, Any]:
        """The part of to_json that is about shared capacities."""
        return {
            "node_shapes": {str(rank): shape.to_json() for rank, shape in sorted(self.nodes.items())},
            "trunks": [
                {"from": src, "to": dst, **capacity.to_json()}
                for (src, dst), capacity in sorted(self.trunk_capacities.items())
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        remember_traces(data.get("deliveries", {}))
        edges = [PlannedEdge.from_json(edge) for edge in data["edges"]]
        addresses = [(node["ipv4"], node["ipv6"]) for node in data["nodes"]]
        return cls(
            topology=data["topology"],
            profile=data["profile"],
            seed=data["seed"],
            size=len(data["nodes"]),
            edges={edge.pair: edge for edge in edges},
            next_hops={node["rank"]: routes_from_json(node["routes"]) for node in data["nodes"]},
            addressing=Addressing.with_addresses(data["ipv4_subnet"], data["ipv6_subnet"], addresses),
            nodes={int(rank): NodeShape.from_json(shape) for rank, shape in data.get("node_shapes", {}).items()},
            regions={name: tuple(ranks) for name, ranks in data.get("regions", {}).items()},
            trunk_capacities={(one["from"], one["to"]): Capacity.from_json(one) for one in data.get("trunks", ())},
            mtu=data.get("mtu", MTU),
            ecn=data.get("ecn", False),
        )
