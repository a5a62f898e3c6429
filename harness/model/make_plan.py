"""Makes a plan from a topology, profiles and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.errors import PlanError
from harness.model.address import MTU, Addressing
from harness.model.capacity import NO_CAPS, Capacity, NodeShape
from harness.model.cpu import CpuShare
from harness.model.link import Pair
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.regions import RegionPair, crossed_trunks

if TYPE_CHECKING:
    from harness.model.profile import Profile
    from harness.model.topology import Topology


def make_plan(
    topology: Topology,
    profile: Profile,
    seed: int,
    *,
    between: Profile | None = None,
    addressing: Addressing | None = None,
    caps: Mapping[str, Capacity | CpuShare | None] | None = None,
    cpus: Mapping[int, CpuShare | None] | None = None,
    trunk: Capacity | None = None,
    mtu: int = MTU,
    ecn: bool = False,
) -> NetworkPlan:
    """Draw every edge's shape and find every route.

    Args:
        topology: the graph; its own shapes (of a custom file) win over the profile's.
        profile: of the edges.
        seed: of the draws.
        between: profile of the slow edges (tier 1) of a topology with islands or regions; None: the same profile.
        addressing: the subnets.
        caps: "uplink", "downlink" and "cpu" of every node (None: no limit): they win over the profile's, the
            topology's own win over them.
        cpus: shares of a CPU by rank (None: no limit), which win over all others.
        trunk: of every pair of regions with edges between them for which the topology has none.
        mtu, ecn: see `NetworkPlan`.

    Raises:
        PlanError: more nodes than addresses.
    """
    addressing = addressing or Addressing()
    addressing.require(topology.size)
    edges = _edges(topology, profile, between or profile, seed)
    return NetworkPlan(
        topology.name,
        f"{profile.name}+{between.name}" if between else profile.name,
        seed,
        topology.size,
        edges,
        topology.next_hops(),
        addressing,
        _nodes(topology, profile, seed, caps or {}, cpus or {}),
        topology.regions,
        _trunks(topology, edges, trunk),
        mtu,
        ecn,
    )


def _edges(topology: Topology, profile: Profile, between: Profile, seed: int) -> dict[Pair, PlannedEdge]:
    """The directed edges, in the order of the topology's."""
    edges: dict[Pair, PlannedEdge] = {}
    for edge in topology.edges:
        source = between if edge.tier else profile
        there, back = edge.shapes(source.sample(seed, edge.a, edge.b))
        for src, dst, shape, own in ((edge.a, edge.b, there, edge.forward), (edge.b, edge.a, back, edge.backward)):
            edges[src, dst] = PlannedEdge(src, dst, shape, source.name if own is None else "file")
    return edges


def _nodes(
    topology: Topology,
    profile: Profile,
    seed: int,
    caps: Mapping[str, Capacity | CpuShare | None],
    cpus: Mapping[int, CpuShare | None],
) -> dict[int, NodeShape]:
    """The limits of those nodes that have any, by rank."""
    nodes = {}
    for rank in range(topology.size):
        drawn = vars(profile.sample_node(seed, rank))
        named = {"cpu": cpus[rank]} if rank in cpus else {}
        limits = NodeShape(**{**drawn, **caps, **topology.nodes.get(rank, {}), **named})
        if limits != NO_CAPS:
            nodes[rank] = limits
    return nodes


def _trunks(
    topology: Topology, edges: Mapping[Pair, PlannedEdge], trunk: Capacity | None
) -> dict[RegionPair, Capacity]:
    """The topology's trunks, and ``trunk`` for all other pairs of regions with edges. Raises PlanError."""
    if trunk is None:
        return dict(topology.trunks)
    if len(topology.regions) < 2:
        raise PlanError(f"a trunk joins two regions, and {topology.name} has none; take -t regions:2, or a file")
    return {**dict.fromkeys(crossed_trunks(topology.regions, edges), trunk), **topology.trunks}
