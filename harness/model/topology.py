"""A topology as a graph of ranks and edges, and the routes in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from harness.errors import TopologyError
from harness.model.address import MAX_NODES
from harness.model.capacity import Capacity
from harness.model.cpu import CpuShare
from harness.model.link import LinkShape
from harness.model.units import ZERO_RATIO, ZERO_TIME, Time

MAX_EDGES: Final = 500_000


@dataclass(frozen=True)
class TopologyEdge:
    """An edge between two ranks, a < b.

    Args:
        a, b: the ranks.
        tier: 1 for the slow edges between islands or regions, else 0.
        forward: the shape of a->b where a custom file has it; None: drawn from the profile.
        backward: the same for b->a.
        inherits: fields of forward and backward that come from the profile (e.g. for a delay matrix without rates).
    """

    a: int
    b: int
    tier: int = 0
    forward: LinkShape | None = None
    backward: LinkShape | None = None
    inherits: frozenset[str] = frozenset()

    def shapes(self, drawn: LinkShape) -> tuple[LinkShape, LinkShape]:
        """The shapes of a->b and of b->a, given the profile's draw for this edge.

        An inherited jitter keeps its share of the delay; an inherited reorder is dropped where there is no delay.
        """
        return self._shape(self.forward, drawn), self._shape(self.backward, drawn)

    def _shape(self, own: LinkShape | None, drawn: LinkShape) -> LinkShape:
        if own is None or not self.inherits:
            return drawn if own is None else own
        taken = {name: getattr(drawn, name) for name in self.inherits}
        if "jitter" in taken:
            taken["jitter"] = Time(own.delay.ns * drawn.jitter.ns // drawn.delay.ns) if drawn.delay.ns else ZERO_TIME
        if not own.delay.ns:
            taken["reorder"] = ZERO_RATIO
        return own.changed(**taken)


@dataclass(frozen=True)
class Topology:
    """A connected graph of the ranks 0 to size - 1.

    Args:
        name: as in the spec, e.g. ``ring`` or ``grid:2x3``; a custom file's name without its ending.
        size: number of ranks.
        edges: each pair of ranks once.
        nodes: "uplink", "downlink" and "cpu" that a file sets, by rank; None: no limit.
        regions: the ranks of each region, by its name; empty where it has none.
        trunks: what the edges from one region to another share, by (from, to).

    Raises TopologyError where an edge has unknown or equal ranks or is there twice, or the graph is not connected.
    """

    name: str
    size: int
    edges: tuple[TopologyEdge, ...]
    nodes: Mapping[int, Mapping[str, Capacity | CpuShare | None]] = field(default_factory=dict)
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    trunks: Mapping[tuple[str, str], Capacity] = field(default_factory=dict)
    _by_pair: dict[tuple[int, int], TopologyEdge] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_size(self.size)
        by_pair = {(edge.a, edge.b): edge for edge in sorted(self.edges, key=lambda edge: (edge.a, edge.b))}
        for a, b in by_pair:
            if not 0 <= a < b < self.size:
                raise TopologyError(
                    f"{self.name}: {a}-{b} is not an edge between two of the ranks 0 to {self.size - 1}"
                )
        if len(by_pair) != len(self.edges):
            raise TopologyError(f"{self.name}: an edge is there twice")
        object.__setattr__(self, "edges", tuple(by_pair.values()))
        object.__setattr__(self, "_by_pair", by_pair)
        if not self._is_mesh:
            self._require_connected()

    @property
    def _is_mesh(self) -> bool:
        """Whether all ranks are neighbours, so that no search is needed."""
        return len(self.edges) == self.size * (self.size - 1) // 2

    @cached_property
    def _near(self) -> list[dict[int, int]]:
        """Per rank, the weight of the edge to each neighbour; see `next_hops`."""
        near: list[dict[int, int]] = [{} for _ in range(self.size)]
        for a, b in self._by_pair:
            near[a][b] = near[b][a] = _tie_break(a, b)
        return near

    def _require_connected(self) -> None:
        parts: list[list[int]] = []
        left = set(range(self.size))
        while left:
            first = min(left)
            parts.append(sorted({first, *self._ways_from(first)}))
            left.difference_update(parts[-1])
        if len(parts) > 1:
            shown = " | ".join(map(_ranks_as_text, parts[:4])) + (" | ..." if len(parts) > 4 else "")
            raise TopologyError(
                f"{self.name} falls into {len(parts)} parts that no edge joins: {shown}; add edges between them"
            )

    def _ways_from(self, start: int) -> dict[int, int]:
        """By reachable rank, the neighbour of the start on its path, by breadth-first search; see `next_hops`."""
        near, found = self._near, {start: start}
        layer = {other: (tie, other) for other, tie in near[start].items()}
        while layer:
            found |= {rank: hop for rank, (_, hop) in layer.items()}
            farther: dict[int, tuple[int, int]] = {}
            for rank, (weight, hop) in layer.items():
                for other, tie in near[rank].items():
                    if other not in found:
                        way = weight + tie, hop
                        if other not in farther or way < farther[other]:
                            farther[other] = way
            layer = farther
        del found[start]
        return found

    def neighbours(self, rank: int) -> list[int]:
        """The ranks at the other ends of this rank's edges, ascending. Raises TopologyError for an unknown rank."""
        if not 0 <= rank < self.size:
            raise TopologyError(f"there is no rank {rank} in {self.name}; ranks are 0 to {self.size - 1}")
        return sorted(b if a == rank else a for a, b in self._by_pair if rank in (a, b))

    def edge(self, a: int, b: int) -> TopologyEdge:
        """The edge between two ranks, in either order. Raises TopologyError where there is none."""
        found = self._by_pair.get((min(a, b), max(a, b)))
        if found is None:
            near = ", ".join(f"{a}-{rank}" for rank in self.neighbours(a)) or "none"
            raise TopologyError(f"there is no edge {a}-{b} in {self.name}; node {a} has: {near}")
        return found

    def next_hops(self) -> dict[int, dict[int, int]]:
        """By rank and destination, the neighbour on the path.

        A path has the fewest hops; of several such paths, the least weight, where each edge weighs a 40-bit SHA-256 of
        its two ranks. So paths are unique (unless 40-bit sums collide). Unique paths of an undirected graph are
        symmetric (a round trip crosses the same links both ways) and consistent (each rank on a path goes on as the
        first would; no loops). They depend on the edges' ranks alone, not on the order of edges.

        Time grows with size x edges, memory with size squared.
        """
        if self._is_mesh:
            return {rank: {other: other for other in range(self.size) if other != rank} for rank in range(self.size)}
        return {rank: self._ways_from(rank) for rank in range(self.size)}


def _tie_break(a: int, b: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{a}-{b}".encode()).digest()[:5], "big")


def _ranks_as_text(part: list[int]) -> str:
    return ",".join(map(str, part[:8])) + (",..." if len(part) > 8 else "")


def check_size(size: int) -> None:
    """Raise TopologyError where no network can have that many nodes."""
    if not 1 <= size <= MAX_NODES:
        raise TopologyError(f"{size} nodes: give a number from 1 to {MAX_NODES}")


def check_edges(name: str, size: int, edges: int) -> None:
    """Raise TopologyError where a topology has more than MAX_EDGES."""
    if edges > MAX_EDGES:
        raise TopologyError(
            f"{name} of {size} nodes has over {MAX_EDGES} edges; take fewer nodes or a sparser topology"
        )


def check_clash(where: str, size: int, nodes: int | None) -> None:
    """Raise TopologyError where a spec's number of nodes is not the user's --nodes."""
    if nodes is not None and nodes != size:
        raise TopologyError(f"{where} has {size} nodes, but --nodes is {nodes}; leave --nodes out")
