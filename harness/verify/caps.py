"""Which shared capacities a flow between neighbours crosses, and how they limit it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from harness.model.capacity import Capacity
from harness.model.format import format_rate
from harness.model.link import LinkShape, Pair
from harness.model.plan import NetworkPlan
from harness.model.units import Size

CapKind = Literal["uplink", "downlink", "trunk", "cpu"]


@dataclass(frozen=True)
class CapPlace:
    """Which limit: an uplink, a downlink or a share of a CPU (``cpu``) of a node, or a trunk between two regions.

    Args:
        kind: of the limit.
        rank: the node's; None: a trunk.
        regions: of a trunk, from and to.
    """

    kind: CapKind
    rank: int | None = None
    regions: tuple[str, str] | None = None

    def __str__(self) -> str:
        """For people: ``node 2`` or ``eu->us``."""
        return "->".join(self.regions) if self.regions else f"node {self.rank}"

    @property
    def words(self) -> str:
        """In a sentence: ``the uplink of node 2``, ``the trunk eu->us``."""
        return f"the trunk {self}" if self.regions else f"the {self.kind} of {self}"


@dataclass(frozen=True)
class Cap:
    """A shared capacity, and the directed edges that share it and are up."""

    place: CapPlace
    capacity: Capacity
    edges: tuple[Pair, ...]

    def frame_bit_s(self, frame: int) -> float:
        """The rate at which it passes full frames of that many bytes, without the overhead that it counts."""
        return counted(self.capacity.rate.bit_s, -self.capacity.overhead, frame + self.capacity.overhead)

    def serialisation(self, frame: int) -> float:
        """Seconds that its rate takes for a frame."""
        return self.capacity.rate.seconds(max(0, frame + self.capacity.overhead))

    def __str__(self) -> str:
        return f"{self.place.words}, {format_rate(self.capacity.rate.bit_s)}"


def counted(bit_s: float, overhead: int, frame: int) -> float:
    """A rate of frames of that many bytes, converted to count ``overhead`` more bytes per frame."""
    return bit_s * (frame + overhead) / frame


def caps_of(plan: NetworkPlan, applied: Mapping[CapPlace, Capacity | None] | None = None) -> tuple[Cap, ...]:
    """Every shared capacity of a network, nodes first.

    Args:
        plan: the network.
        applied: the capacities that the engine reports, to use instead of those requested; absent ones are left out.
    """
    up = [pair for pair in sorted(plan.edges) if plan.edges[pair].effective.mean_loss < 1]
    usable, found = set(up), list[Cap]()
    for rank, shape in sorted(plan.nodes.items()):
        if shape.uplink:
            found.append(Cap(CapPlace("uplink", rank), shape.uplink, tuple(pair for pair in up if pair[0] == rank)))
        if shape.downlink:
            found.append(Cap(CapPlace("downlink", rank), shape.downlink, tuple(pair for pair in up if pair[1] == rank)))
    for trunk in plan.trunks:
        place = CapPlace("trunk", regions=(trunk.src, trunk.dst))
        found.append(Cap(place, trunk.capacity, tuple(pair for pair in trunk.edges if pair in usable)))
    if applied is None:
        return tuple(found)
    return tuple(replace(cap, capacity=now) for cap in found if (now := applied.get(cap.place)) is not None)


def crossed(caps: Iterable[Cap], pair: Pair) -> tuple[Cap, ...]:
    """The capacities that a flow over a directed edge crosses."""
    return tuple(cap for cap in caps if pair in cap.edges)


def narrowest(caps: Iterable[Cap], shape: LinkShape, frame: int) -> Cap | None:
    """The capacity that limits a lone flow over an edge; None where the edge's own rate does, or nothing."""
    least = min(caps, key=lambda cap: cap.frame_bit_s(frame), default=None)
    own = frame_rate(shape, frame)
    return least if least is not None and (own is None or least.frame_bit_s(frame) < own) else None


def frame_rate(shape: LinkShape, frame: int) -> float | None:
    """The rate at which an edge passes full frames, without its overhead; None: no limit."""
    rate, overhead = shape.mean_rate, shape.counted_overhead
    return None if rate is None else counted(rate.bit_s, -overhead, frame + overhead)


def at_mean_rate(shape: LinkShape) -> LinkShape:
    """An edge's shape with its trace's mean rate in place of a trace, to plan a measurement."""
    if shape.delivery is None:
        return shape
    return shape.changed(delivery=None, rate=shape.mean_rate, overhead=shape.counted_overhead)


def shape_alone(plan: NetworkPlan, way: Pair, frame: int) -> LinkShape:
    """The shape that a lone flow meets on a directed edge."""
    shape = at_mean_rate(plan.edge(*way).effective)
    return met_alone(shape, narrowest(crossed(caps_of(plan), way), shape, frame))


def met_alone(shape: LinkShape, cap: Cap | None) -> LinkShape:
    """An edge's shape, with the rate and queue of the capacity that limits a lone flow, if any."""
    if cap is None:
        return shape
    limits = cap.capacity
    return shape.changed(
        rate=limits.rate,
        burst=None,
        limit=None,
        queue=limits.queue,
        buffer=Size(limits.flow_bytes(len(cap.edges))),
        overhead=limits.overhead,
    )
