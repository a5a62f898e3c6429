"""What a network's plan is made of, as a user writes it: on a command line, or in a container's environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.model.address import Addressing
    from harness.model.plan import NetworkPlan


@dataclass(frozen=True)
class PlanOptions:
    """What a plan is made of, as the user wrote it."""

    nodes: int | None
    topology: str
    profile: str
    between: str | None
    seed: int
    subnet: str | None
    subnet6: str | None

    def plan(self, addressing: Addressing | None = None) -> NetworkPlan:
        """Read and draw everything; touches no machine. Raises InputError.

        Args:
            addressing: who has which address; None: as the subnets say.
        """
        from harness.model.address import Addressing
        from harness.model.plan import make_plan
        from harness.model.profile_file import load_profile
        from harness.model.topology_names import build_topology

        addressing = addressing or Addressing.parse(self.subnet, self.subnet6)
        if self.nodes is not None:
            addressing.require(self.nodes)
        topology = build_topology(self.topology, self.nodes, self.seed)
        has_islands = any(edge.tier for edge in topology.edges)
        if self.between is not None and not has_islands:
            raise InputError(f"--between is for topologies with islands; {topology.name} has none")
        between = load_profile(self.between or "wan") if has_islands else None
        if has_islands and self.profile == "none" and self.between is None:
            between = None
        return make_plan(topology, load_profile(self.profile), self.seed, between=between, addressing=addressing)
