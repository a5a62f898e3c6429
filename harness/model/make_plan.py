"""Making a plan: every edge's shape drawn from its profile, every route found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model.address import Addressing
from harness.model.link import Pair
from harness.model.plan import NetworkPlan, PlannedEdge

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
) -> NetworkPlan:
    """Draw every edge's shape and find every route.

    Args:
        topology: the graph; shapes that it gives itself (a custom file) win over the profile's.
        profile: of the edges.
        seed: of the draws.
        between: profile of the slow edges (tier 1) of a topology with islands; None: the same profile.
        addressing: the subnets.

    Raises:
        PlanError: more nodes than addresses.
    """
    addressing = addressing or Addressing()
    addressing.require(topology.size)
    edges: dict[Pair, PlannedEdge] = {}
    for edge in topology.edges:
        source = between if between is not None and edge.tier else profile
        there, back = edge.shapes(source.sample(seed, edge.a, edge.b))
        for src, dst, shape, own in ((edge.a, edge.b, there, edge.forward), (edge.b, edge.a, back, edge.backward)):
            edges[src, dst] = PlannedEdge(src, dst, shape, source.name if own is None else "file")
    name = f"{profile.name}+{between.name}" if between else profile.name
    return NetworkPlan(topology.name, name, seed, topology.size, edges, topology.next_hops(), addressing)
