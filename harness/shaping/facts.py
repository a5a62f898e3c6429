"""What there is to know of the engines without importing what they shape links with.

That takes 0.03 s for user space and 0.07 s for netem, which pyroute2 speaks to; who asks agents in containers needs
none of it.
"""

from __future__ import annotations

from collections.abc import Iterable
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
"""The first that works is what AUTO takes."""


class NetemFacts:
    """Of the kernel's qdiscs; see EngineFacts."""

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
        """See EngineFacts: verify finds what the machine cannot carry."""
        return []


class UserspaceFacts:
    """Of queues that a process of supervisor.py serves; see EngineFacts."""

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
        """See EngineFacts: it makes all."""

    def precision_warnings(self, edges: Iterable[PlannedEdge]) -> list[str]:
        return precision_warnings(edges)


def engine_facts(name: str) -> EngineFacts:
    """Of the engine with that name. Raises InputError where none has it."""
    if name not in ENGINES:
        raise InputError(f"no engine is called {name!r}; {suggest(name, (AUTO, *ENGINES))}")
    return NetemFacts() if name == NETEM else UserspaceFacts()
