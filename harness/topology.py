"""Topologies: which ranks are joined by an edge, and through whom the others reach each other.

| spec | edges |
|---|---|
| `fully_connected` (`full`, `mesh`) | between all |
| `ring` | rank to rank + 1, the last to 0 |
| `star` | rank 0, the centre, to all others |
| `line` | rank to rank + 1 |
| `tree`, `tree:3` | rank to its parent (rank - 1) // arity; binary where no arity is given |
| `grid`, `grid:2x3` | to the right and downward, ranks row by row; see `_grid_columns` for the form |
| `islands`, `islands:3` | full mesh in every cluster, full mesh of the clusters' first ranks (tier 1) |
| `matrix:delay=D.csv,rate=R.csv`, `FILE.yaml` | custom; see `harness.topology_file` |
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, islice, pairwise
from typing import TYPE_CHECKING, Final

from harness.address import MAX_NODES
from harness.errors import TopologyError
from harness.link import LinkShape
from harness.suggest import suggest
from harness.units import ZERO_RATIO, ZERO_TIME, Time

if TYPE_CHECKING:
    import networkx as nx

DEFAULT_NODES: Final = 4
MAX_EDGES: Final = 500_000


@dataclass(frozen=True)
class TopologyEdge:
    """An edge between two ranks, a < b.

    Args:
        a, b: the ranks.
        tier: 1 for the slow edges between islands, else 0.
        forward: the shape of a->b where a custom file gives it; None: the profile draws it.
        backward: the same for b->a.
        inherits: fields of forward and backward that the profile gives none the less (a delay matrix without rates).
    """

    a: int
    b: int
    tier: int = 0
    forward: LinkShape | None = None
    backward: LinkShape | None = None
    inherits: frozenset[str] = frozenset()

    def shapes(self, drawn: LinkShape) -> tuple[LinkShape, LinkShape]:
        """The shapes of a->b and of b->a, given what the profile drew for this edge.

        An inherited jitter keeps the share of the delay that it has in the profile's draw, for a jitter that fits one
        delay makes no sense for another; an inherited reorder is dropped where there is no delay to skip.
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
        name: as in the spec, e.g. ``ring`` or ``grid:2x3``; of a custom file the name without its ending.
        size: number of ranks.
        edges: by (a, b), each pair once.

    Raises TopologyError where an edge has unknown or equal ranks, is there twice, or the graph falls apart.
    """

    name: str
    size: int
    edges: tuple[TopologyEdge, ...]
    _by_pair: dict[tuple[int, int], TopologyEdge] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        from networkx import connected_components  # here, because importing networkx takes 0.3 s

        _check_size(self.size)
        by_pair = {(edge.a, edge.b): edge for edge in sorted(self.edges, key=lambda edge: (edge.a, edge.b))}
        for a, b in by_pair:
            if not 0 <= a < b < self.size:
                raise TopologyError(f"{self.name}: {a}-{b} is no edge between two of the ranks 0 to {self.size - 1}")
        if len(by_pair) != len(self.edges):
            raise TopologyError(f"{self.name}: an edge is there twice")
        object.__setattr__(self, "edges", tuple(by_pair.values()))
        object.__setattr__(self, "_by_pair", by_pair)
        parts = [sorted(part) for part in connected_components(self._graph)]
        if len(parts) > 1:
            told = " | ".join(_told(part) for part in parts[:4]) + (" | ..." if len(parts) > 4 else "")
            raise TopologyError(
                f"{self.name} falls into {len(parts)} parts that no edge joins: {told}; add edges between them"
            )

    @cached_property
    def _graph(self) -> nx.Graph[int]:
        """The ranks and edges, these with the weights that `next_hops` explains."""
        import networkx as nx

        graph: nx.Graph[int] = nx.Graph()
        graph.add_nodes_from(range(self.size))
        graph.add_weighted_edges_from((a, b, 2**64 + _tie_break(a, b)) for a, b in self._by_pair)
        return graph

    def neighbours(self, rank: int) -> list[int]:
        """The ranks at the other ends of this rank's edges, ascending. Raises TopologyError for an unknown rank."""
        if not 0 <= rank < self.size:
            raise TopologyError(f"there is no rank {rank} in {self.name}; ranks are 0 to {self.size - 1}")
        return sorted(self._graph[rank])

    def edge(self, a: int, b: int) -> TopologyEdge:
        """The edge between two ranks, in either order. Raises TopologyError where there is none."""
        found = self._by_pair.get((min(a, b), max(a, b)))
        if found is None:
            near = ", ".join(f"{a}-{rank}" for rank in self.neighbours(a)) or "none"
            raise TopologyError(f"there is no edge {a}-{b} in {self.name}; node {a} has: {near}")
        return found

    def next_hops(self) -> dict[int, dict[int, int]]:
        """For every rank, for every other rank: the neighbour through which it goes.

        The way has the fewest hops. Where several have, the tie is broken by giving every edge the weight
        2**64 + a 40-bit SHA-256 of its two ranks and taking the lightest way: the first term makes hops count first (no
        sum of the others reaches 2**64), the second makes the lightest way unique (two ways of equal weight would need
        40-bit sums that collide). Unique ways of an undirected graph are symmetric (B to A is A to B backwards, so that
        a round trip crosses the same links both ways) and consistent (each rank on the way goes on as the first would
        have; no loops). They depend on the edges' ranks alone, not on the order of edges.

        Found by Dijkstra's algorithm from every destination: as ways are symmetric, the rank before X on the lightest
        way from D to X is where X sends what goes to D. Time and memory grow with size x edges and size squared.
        """
        from networkx import dijkstra_predecessor_and_distance

        hops: dict[int, dict[int, int]] = {rank: {} for rank in range(self.size)}
        for destination in range(self.size):
            if len(self._graph[destination]) == self.size - 1:  # no need to search
                before = {rank: [destination] for rank in self._graph[destination]}
            else:
                before, _ = dijkstra_predecessor_and_distance(self._graph, destination)
            for rank, previous in before.items():
                if previous:
                    hops[rank][destination] = previous[0]
        return hops


def _tie_break(a: int, b: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{a}-{b}".encode()).digest()[:5], "big")


def _told(part: list[int]) -> str:
    return ",".join(map(str, part[:8])) + (",..." if len(part) > 8 else "")


def _check_size(size: int) -> None:
    if not 1 <= size <= MAX_NODES:
        raise TopologyError(f"{size} nodes: give a number from 1 to {MAX_NODES}")


Pairs = Iterable[tuple[int, int]]


def _ring(size: int) -> Pairs:
    yield from pairwise(range(size))
    if size > 2:
        yield 0, size - 1


def _tree(size: int, arity: int) -> Pairs:
    return (((rank - 1) // arity, rank) for rank in range(1, size))


def _grid(size: int, columns: int) -> Iterator[tuple[int, int]]:
    for rank in range(size):
        if (rank + 1) % columns and rank + 1 < size:
            yield rank, rank + 1
        if rank + columns < size:
            yield rank, rank + columns


def _grid_columns(size: int) -> int:
    """The squarest full rectangle, wider than high (12 is 3x4, 10 is 2x5).

    A prime has no rectangle but a line: there, the square root rounded up, and the last row is short (7 is 3 + 3 + 1).
    """
    rows = next(rows for rows in range(math.isqrt(size), 0, -1) if size % rows == 0)
    return size // rows if rows > 1 else math.ceil(math.sqrt(size))


def _clusters(size: int, count: int) -> list[range]:
    """Contiguous ranks, as even as possible: sizes differ by one at most, the larger ones first."""
    small, larger = divmod(size, count)
    starts = [index * small + min(index, larger) for index in range(count + 1)]
    return [range(start, end) for start, end in pairwise(starts)]


def _islands(size: int, count: int) -> Iterator[TopologyEdge]:
    clusters = _clusters(size, count)
    for cluster in clusters:
        yield from (TopologyEdge(a, b) for a, b in combinations(cluster, 2))
    yield from (TopologyEdge(a, b, tier=1) for a, b in combinations([cluster[0] for cluster in clusters], 2))


_PLAIN: Final[dict[str, Callable[[int], Pairs]]] = {
    "fully_connected": lambda size: combinations(range(size), 2),
    "ring": _ring,
    "star": lambda size: ((0, rank) for rank in range(1, size)),
    "line": lambda size: pairwise(range(size)),
}
_ALIASES: Final = {"full": "fully_connected", "mesh": "fully_connected"}
TOPOLOGIES: Final = (*_PLAIN, "tree", "grid", "islands")
"""The names that a spec can start with, besides the custom ones."""


def build_topology(spec: str, nodes: int | None = None, seed: int = 0) -> Topology:
    """The topology that a spec names; see the table of this module.

    Args:
        spec: ``NAME``, ``NAME:ARGS``, ``matrix:...`` or the path of a YAML file. `-` and `_` are the same in names.
        nodes: number of nodes; None: what the spec says (``grid:2x3``, a file), or 4.
        seed: for the ranges that a custom file may have for an edge; the others are drawn by the plan.

    Raises:
        TopologyError: an unknown name, wrong arguments or file, too few or many nodes, or a clash of spec and nodes.
    """
    if nodes is not None:
        _check_size(nodes)
    head, colon, argument = spec.partition(":")
    name = head.strip().lower().replace("-", "_")
    name = _ALIASES.get(name, name)
    if name == "matrix" or "/" in spec or spec.lower().endswith((".yaml", ".yml", ".csv")):
        from harness.topology_file import load_custom

        return load_custom(spec, nodes, seed)
    if name not in TOPOLOGIES:
        hint = suggest(name, [*TOPOLOGIES, *_ALIASES, "matrix"])
        raise TopologyError(f"topology {spec!r} is unknown; {hint} (a file of your own: ./NAME.yaml)")
    if colon and name in _PLAIN:
        raise TopologyError(f"topology {spec!r}: {name} takes no argument; write {name} and --nodes N")
    size = nodes or DEFAULT_NODES
    if name == "grid" and colon:
        rows, _, columns = argument.lower().partition("x")
        size = _number(spec, rows, "grid:2x3") * _number(spec, columns, "grid:2x3")
        check_clash(f"topology {spec!r}", size, nodes)
        _check_size(size)
        return _collect(f"grid:{int(rows)}x{int(columns)}", size, map(_edge, _grid(size, int(columns))))
    if name == "grid":
        return _collect(name, size, map(_edge, _grid(size, _grid_columns(size))))
    if name == "tree":
        arity = _number(spec, argument, "tree:3") if colon else 2
        return _collect(f"tree:{arity}" if colon else name, size, map(_edge, _tree(size, arity)))
    if name == "islands":
        count = _number(spec, argument, "islands:3") if colon else min(2, size)
        if count > size:
            told = f"--nodes is {nodes}" if nodes else f"--nodes is {DEFAULT_NODES} where it is not given"
            raise TopologyError(f"topology {spec!r} needs at least {count} nodes, one per island; {told}")
        return _collect(f"islands:{count}", size, _islands(size, count))
    return _collect(name, size, map(_edge, _PLAIN[name](size)))


def check_clash(where: str, size: int, nodes: int | None) -> None:
    """Raise TopologyError where a spec's number of nodes is not the one that the user asked for."""
    if nodes is not None and nodes != size:
        raise TopologyError(f"{where} has {size} nodes, but --nodes is {nodes}; leave --nodes out")


def _edge(pair: tuple[int, int]) -> TopologyEdge:
    return TopologyEdge(*pair)


def _number(spec: str, text: str, example: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= len(text) <= 6 and int(text)):
        raise TopologyError(f"topology {spec!r}: {text!r} is not a number from 1 up; write e.g. {example}")
    return int(text)


def _collect(name: str, size: int, edges: Iterable[TopologyEdge]) -> Topology:
    found = tuple(islice(edges, MAX_EDGES + 1))
    if len(found) > MAX_EDGES:
        raise TopologyError(
            f"{name} of {size} nodes has over {MAX_EDGES} edges; take fewer nodes or a sparser topology"
        )
    return Topology(name, size, found)
