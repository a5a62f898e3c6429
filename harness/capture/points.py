"""The points where packets are recorded: both ends of directed edges, before and behind the link."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from harness.model.link import Pair
from harness.model.plan import NetworkPlan

Side = Literal["sent", "received"]
SIDES: Final[tuple[Side, ...]] = ("sent", "received")


@dataclass(frozen=True)
class Point:
    """One end of one directed edge.

    Args:
        pair: the edge.
        side: which end.
        prefixes: of the final destinations of packets sent, or of the sources of packets received.
    """

    pair: Pair
    side: Side
    prefixes: tuple[str, ...]

    @property
    def rank(self) -> int:
        """The node's."""
        return self.pair[0 if self.side == "sent" else 1]

    @property
    def edge(self) -> str:
        """The edge as text."""
        return f"{self.pair[0]}->{self.pair[1]}"

    @property
    def name(self) -> str:
        """The interface's name in Wireshark."""
        return f"{self.edge} {self.side}"

    @property
    def description(self) -> str:
        """The interface's description in Wireshark."""
        return f"node {self.pair[0]} to node {self.pair[1]}, {self.side}"


def points(plan: NetworkPlan, pairs: Collection[Pair]) -> list[Point]:
    """Both ends of these edges."""
    return [Point(pair, side, tuple(_prefixes(plan, pair, side))) for pair in pairs for side in SIDES]


def _prefixes(plan: NetworkPlan, pair: Pair, side: Side) -> Iterator[str]:
    node = plan.node(pair[0] if side == "sent" else pair[1])
    ports = node.egress if side == "sent" else node.ingress
    for prefix in node.ways([port for port in ports if port.edge.pair == pair], plan.addressing.versions):
        yield str(prefix)
