"""What one node must know to make its own part of a network: its edges, as planned, and the ranks that they lead to."""

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
        shape: what was requested.
        origin: where the shape comes from: a profile's name, ``file`` or ``set``.
        down: whether the link is down: it loses every packet until it is up again.
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
        """What the kernel must do now: the shape, or the shape with every packet lost where the link is down.

        Nothing is duplicated then: netem lets a copy pass where the packet is lost.
        """
        if not self.down:
            return self.shape
        return self.shape.changed(loss=WHOLE, loss_correlation=ZERO_RATIO, gilbert_elliott=None, duplicate=ZERO_RATIO)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in SI units."""
        return {
            "src": self.src,
            "dst": self.dst,
            **self.shape.to_json(),
            "origin": self.origin,
            "down": self.down,
        }

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
        neighbour: the rank at the other end, whichever the direction.
        ranks: of an outgoing port, the final destinations that go through the neighbour; of an incoming port, the
            original sources whose packets come through it. The neighbour is one of them.
        trunk: the name of the trunk that the edge crosses, or an empty string.
    """

    edge: PlannedEdge
    neighbour: int
    ranks: tuple[int, ...]
    trunk: str = ""


@dataclass(frozen=True)
class NodePlan:
    """All that one node must know to make its own part of the network.

    Args:
        rank: its own.
        addressing: the subnets.
        egress: per neighbour, what goes there.
        ingress: per neighbour, what comes from there.
        forwards: whether packets of others cross it.
        max_segments: see NetworkPlan.max_segments.
        guarded: see NetworkPlan.guarded.
        seed: of every draw.
        shape: its uplink, downlink and share of a CPU.
        trunks: those that an edge of its own crosses, in either direction.
        mtu: of its interface.
        ecn: whether its TCP asks for explicit congestion notification.
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
        """What packets to other nodes need beside the kernel's 64: all that IP has where paths may be that long."""
        return MAX_HOPS if sum(len(port.ranks) for port in self.egress) >= DEFAULT_HOPS else 0

    def ways(self, ports: Iterable[Port], versions: Iterable[int]) -> dict[IPv4Network | IPv6Network, int]:
        """By prefix, the neighbour to which, or from which, packets of the addresses in it go.

        Args:
            ports: the node's, of one direction; their ranks are covered by the fewest prefixes.
            versions: of IP.
        """
        return {
            prefix: port.neighbour
            for port in ports
            for version in versions
            for prefix in self.addressing.prefixes(port.ranks, version)
        }

    def detours(self) -> list[tuple[int, int]]:
        """(destination, next hop) for every destination that is no neighbour."""
        return [(dst, port.neighbour) for port in self.egress for dst in port.ranks if dst != port.neighbour]
