"""Which shared capacities a flow crosses, and what they leave of an edge's rate. Pure.

Verify sends from a node to its neighbour, so a flow crosses at most three: the sender's uplink, the trunk between their
regions, the receiver's downlink.
"""

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
class Place:
    """Where a capacity is: at a node, or between two regions (a trunk).

    Args:
        kind: which; ``cpu`` is a node's share of a CPU.
        rank: the node's; None of a trunk.
        regions: from and to; None of what is a node's.
    """

    kind: CapKind
    rank: int | None = None
    regions: tuple[str, str] | None = None

    def __str__(self) -> str:
        """As people see it: ``node 2`` or ``eu->us``."""
        return "->".join(self.regions) if self.regions else f"node {self.rank}"

    @property
    def words(self) -> str:
        """As part of a sentence: ``the uplink of node 2``, ``the trunk eu->us``."""
        return f"the trunk {self}" if self.regions else f"the {self.kind} of {self}"


@dataclass(frozen=True)
class Cap:
    """A shared capacity with the directed edges that share it, without those that are down."""

    place: Place
    capacity: Capacity
    edges: tuple[Pair, ...]

    def frame_bit_s(self, frame: int) -> float:
        """The rate at which it lets full frames pass, by their own bytes: what it counts beside them takes a share."""
        return counted(self.capacity.rate.bit_s, -self.capacity.overhead, frame + self.capacity.overhead)

    def serialisation(self, frame: int) -> float:
        """How long its rate takes for a frame, in seconds."""
        return self.capacity.rate.seconds(max(0, frame + self.capacity.overhead))

    def __str__(self) -> str:
        return f"{self.place.words}, {format_rate(self.capacity.rate.bit_s)}"


def counted(bit_s: float, overhead: int, frame: int) -> float:
    """A rate of frames of that many bytes, once ``overhead`` bytes are counted with each."""
    return bit_s * (frame + overhead) / frame


def caps_of(plan: NetworkPlan, applied: Mapping[Place, Capacity | None] | None = None) -> tuple[Cap, ...]:
    """Every shared capacity of a network, nodes first.

    Args:
        plan: the network.
        applied: what the engine reports, in place of what was requested; one that it reports as absent is left out.
    """
    up = [pair for pair in sorted(plan.edges) if plan.edges[pair].effective.mean_loss < 1]
    usable, found = set(up), list[Cap]()
    for rank, shape in sorted(plan.nodes.items()):
        if shape.uplink:
            found.append(Cap(Place("uplink", rank), shape.uplink, tuple(pair for pair in up if pair[0] == rank)))
        if shape.downlink:
            found.append(Cap(Place("downlink", rank), shape.downlink, tuple(pair for pair in up if pair[1] == rank)))
    for trunk in plan.trunks:
        place = Place("trunk", regions=(trunk.src, trunk.dst))
        found.append(Cap(place, trunk.capacity, tuple(pair for pair in trunk.edges if pair in usable)))
    if applied is None:
        return tuple(found)
    return tuple(replace(cap, capacity=now) for cap in found if (now := applied.get(cap.place)) is not None)


def crossed(caps: Iterable[Cap], pair: Pair) -> tuple[Cap, ...]:
    """The capacities that a flow over a directed edge crosses."""
    return tuple(cap for cap in caps if pair in cap.edges)


def narrowest(caps: Iterable[Cap], shape: LinkShape, frame: int) -> Cap | None:
    """The one that limits a flow which is alone on its way; None where the edge's own rate does, or nothing."""
    least = min(caps, key=lambda cap: cap.frame_bit_s(frame), default=None)
    own = frame_rate(shape, frame)
    return least if least is not None and (own is None or least.frame_bit_s(frame) < own) else None


def frame_rate(shape: LinkShape, frame: int) -> float | None:
    """The rate at which an edge lets full frames pass, by their own bytes; None where it has none."""
    rate, overhead = shape.mean_rate, shape.counted_overhead
    return None if rate is None else counted(rate.bit_s, -overhead, frame + overhead)


def at_mean_rate(shape: LinkShape) -> LinkShape:
    """An edge's shape with the mean rate of its trace, where it has one: what to plan a measurement by."""
    if shape.delivery is None:
        return shape
    return shape.changed(delivery=None, rate=shape.mean_rate, overhead=shape.counted_overhead)


def shape_alone(plan: NetworkPlan, way: Pair, frame: int) -> LinkShape:
    """A directed edge as a flow meets it that is alone on its way."""
    shape = at_mean_rate(plan.edge(*way).effective)
    return met_alone(shape, narrowest(crossed(caps_of(plan), way), shape, frame))


def met_alone(shape: LinkShape, cap: Cap | None) -> LinkShape:
    """An edge's shape as a flow meets it that is alone on its way: where a capacity limits it, with that one's rate."""
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
