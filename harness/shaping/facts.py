"""Properties of the engines, without importing the engines.

That takes 0.03 s for user space and 0.07 s for netem with pyroute2, and commands that ask agents in containers do not
need them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from harness.errors import InputError
from harness.model.link import Pair
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.suggest import suggest
from harness.shaping.base import EngineFacts
from harness.shaping.beyond_qdiscs import refuse_delivery, refuse_overhead
from harness.shaping.userspace.precision import precision_warnings

AUTO: Final = "auto"
NETEM: Final = "netem"
USERSPACE: Final = "userspace"
ENGINES: Final = (NETEM, USERSPACE)
"""AUTO takes the first that works."""


class NetemFacts:
    """Properties of the netem engine; see EngineFacts."""

    name = NETEM
    daemon_module: str | None = None
    kernel_stamps = True
    cuts_super_packets = False
    fixes_departures = True
    serves_deliveries = False
    shapes_bridge = True

    def enforced_at(self, edge: Pair) -> int:
        """See EngineFacts: the sender."""
        return edge[0]

    def check(self, plan: NetworkPlan) -> None:
        refuse_delivery(plan)
        refuse_overhead(plan)

    def precision_warnings(self, edges: Iterable[PlannedEdge]) -> list[str]:
        """See EngineFacts: none, because verify finds what the machine cannot carry."""
        return []


class UserspaceFacts:
    """Properties of the user-space engine; see EngineFacts."""

    name = USERSPACE
    daemon_module: str | None = "harness.shaping.userspace.supervisor"
    kernel_stamps = False
    cuts_super_packets = True
    fixes_departures = False
    serves_deliveries = True
    shapes_bridge = False

    def enforced_at(self, edge: Pair) -> int:
        """See EngineFacts: the receiver, where packets no longer belong to the socket that sent them."""
        return edge[1]

    def check(self, plan: NetworkPlan) -> None:
        """See EngineFacts: it can make every plan."""

    def precision_warnings(self, edges: Iterable[PlannedEdge]) -> list[str]:
        return precision_warnings(edges)


def engine_facts(name: str) -> EngineFacts:
    """The properties of an engine by name. Raises InputError for an unknown name."""
    if name not in ENGINES:
        raise InputError(f"no engine is called {name!r}; {suggest(name, (AUTO, *ENGINES))}")
    return _FACTS[name]()


_FACTS: Final[Mapping[str, Callable[[], EngineFacts]]] = {NETEM: NetemFacts, USERSPACE: UserspaceFacts}
