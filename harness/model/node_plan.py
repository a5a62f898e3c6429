"""One node's part of a plan: its edges, and the ranks that they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Self

from harness.model.address import DEFAULT_HOPS, MAX_HOPS, MTU, Addressing
from harness.model.capacity import NO_CAPS, NodeShape, Trunk
from harness.model.link import LinkShape, Pair
from harness.model.units import WHOLE, ZERO_RATIO


@dataclass(frozen=True)
class PlannedEdge:
    """One direction of one edge.

    Args:
        src: the rank that sends.
        dst: the neighbour that receives.
        shape: as requested.
        origin: of the shape: a profile's name, ``file`` or ``set``.
        down: whether the link is down, i.e. loses every packet.
    """

    src: int
    dst: int
    shape: LinkShape
    origin: str = ""
    down: bool = False

    @property
    def pair(self) -> Pair:
        """(src, dst)."""
        return self.src, self.dst

    @property
    def effective(self) -> LinkShape:
        """The shape to enforce now: where the link is down, it loses every packet.

        It then duplicates none, because netem lets the copy of a lost packet pass.
        """
        if not self.down:
            return self.shape
        return self.shape.changed(loss=WHOLE, loss_correlation=ZERO_RATIO, gilbert_elliott=None, duplicate=ZERO_RATIO)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in SI units."""
        ends = {"src": self.src, "dst": self.dst}
        return {**ends, **self.shape.to_json(), "origin": self.origin, "down": self.down}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        return cls(data["src"], data["dst"], LinkShape.from_json(data), data["origin"], data["down"])

    def __str__(self) -> str:
        return f"{self.src}->{self.dst}"


@dataclass(frozen=True)
class Port:
    """One neighbour as a node sees it, in one direction.

    Args:
        edge: the directed edge to the neighbour, or from it.
        neighbour: the rank at the other end.
        ranks: the final destinations (of an incoming port: the original sources) of packets that cross the edge; the
            neighbour is one of them.
        trunk: the name of the trunk that the edge crosses; empty: none.
    """

    edge: PlannedEdge
    neighbour: int
    ranks: tuple[int, ...]
    trunk: str = ""


@dataclass(frozen=True)
class NodePlan:
    """All that one node must know to set up its part of the network. Other fields are those of NetworkPlan.

    Args:
        rank: its own.
        egress: the edges to its neighbours.
        ingress: the edges from its neighbours.
        forwards: whether it forwards packets between other nodes.
        shape: its uplink, downlink and share of a CPU.
        trunks: those that its edges cross, in either direction.
    """

    rank: int
    addressing: Addressing
    egress: tuple[Port, ...]
    ingress: tuple[Port, ...]
    forwards: bool
    max_segments: int | None
    guarded: bool
    seed: int
    shape: NodeShape = NO_CAPS
    trunks: tuple[Trunk, ...] = ()
    mtu: int = MTU
    ecn: bool = False

    @property
    def ipv4(self) -> IPv4Address:
        """Its own IPv4 address."""
        return self.addressing.ipv4(self.rank)

    @property
    def ipv6(self) -> IPv6Address:
        """Its own IPv6 address."""
        return self.addressing.ipv6(self.rank)

    @property
    def hop_limit(self) -> int:
        """The hop limit for packets to other nodes: MAX_HOPS where paths may be longer than the default; else 0."""
        return MAX_HOPS if sum(len(port.ranks) for port in self.egress) >= DEFAULT_HOPS else 0

    def ways(self, ports: Iterable[Port], versions: Iterable[int]) -> dict[IPv4Network | IPv6Network, int]:
        """By prefix, the neighbour through which packets to (or from) its addresses go, for ports of one direction."""
        return {
            prefix: port.neighbour
            for port in ports
            for version in versions
            for prefix in self.addressing.prefixes(port.ranks, version)
        }

    def detours(self) -> list[tuple[int, int]]:
        """(destination, next hop) for every destination that is no neighbour."""
        return [(dst, port.neighbour) for port in self.egress for dst in port.ranks if dst != port.neighbour]
