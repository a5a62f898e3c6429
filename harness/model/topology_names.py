"""Topologies by name: ``ring``, ``islands:3``, a file of your own.

| spec | edges |
|---|---|
| `fully_connected` (`full`, `mesh`) | between all |
| `ring` | rank to rank + 1, the last to 0 |
| `star` | rank 0, the centre, to all others |
| `line` | rank to rank + 1 |
| `tree`, `tree:3` | rank to its parent (rank - 1) // arity; binary where no arity is given |
| `grid`, `grid:2x3` | to the right and downward, ranks row by row; see `_grid_columns` for the form |
| `islands`, `islands:3` | full mesh in every cluster, full mesh of the clusters' first ranks (tier 1) |
| `regions`, `regions:3` | between all; those between clusters are tier 1 |
| `regions:aws` | between all; ranks in real regions, see region_table.py |
| `matrix:delay=D.csv,rate=R.csv`, `FILE.yaml` | custom; see topology_file.py |

The clusters of islands and regions are the topology's regions: r0, r1, ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import combinations, islice, pairwise
from typing import Final

from harness.errors import TopologyError, quoted
from harness.model.link import Pair
from harness.model.region_table import load_regions
from harness.model.suggest import suggest
from harness.model.topology import MAX_EDGES, Topology, TopologyEdge, check_clash, check_edges, check_size
from harness.model.topology_file import load_custom
from harness.model.units import is_whole_number

DEFAULT_NODES: Final = 4

Pairs = Iterable[Pair]


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
    """The columns of the squarest full rectangle, wider than high (12 is 3x4, 10 is 2x5).

    For a prime, the square root rounded up, with a short last row (7 is 3 + 3 + 1).
    """
    rows = next(rows for rows in range(math.isqrt(size), 0, -1) if size % rows == 0)
    return size // rows if rows > 1 else math.ceil(math.sqrt(size))


def _clusters(size: int, count: int) -> list[range]:
    """Clusters of contiguous ranks, whose sizes differ by at most one, the larger ones first."""
    small, larger = divmod(size, count)
    starts = [index * small + min(index, larger) for index in range(count + 1)]
    return [range(start, end) for start, end in pairwise(starts)]


def _islands(size: int, clusters: list[range]) -> Iterator[TopologyEdge]:
    for cluster in clusters:
        yield from (TopologyEdge(a, b) for a, b in combinations(cluster, 2))
    yield from (TopologyEdge(a, b, tier=1) for a, b in combinations([cluster[0] for cluster in clusters], 2))


def _regions(size: int, clusters: list[range]) -> Iterator[TopologyEdge]:
    home = [number for number, cluster in enumerate(clusters) for _ in cluster]
    return (TopologyEdge(a, b, tier=int(home[a] != home[b])) for a, b in combinations(range(size), 2))


_PLAIN: Final[dict[str, Callable[[int], Pairs]]] = {
    "fully_connected": lambda size: combinations(range(size), 2),
    "ring": _ring,
    "star": lambda size: ((0, rank) for rank in range(1, size)),
    "line": lambda size: pairwise(range(size)),
}
_ALIASES: Final = {"full": "fully_connected", "mesh": "fully_connected"}
_CLUSTERED: Final = {"islands": _islands, "regions": _regions}
TOPOLOGIES: Final = (*_PLAIN, "tree", "grid", *_CLUSTERED)
"""The names with which a spec can start, without custom ones."""


def build_topology(spec: str, nodes: int | None = None, seed: int = 0, place: str | None = None) -> Topology:
    """The topology that a spec names; see the table of this module.

    Args:
        spec: ``NAME``, ``NAME:ARGS``, ``matrix:...`` or the path of a YAML file. `-` and `_` are the same in names.
        nodes: number of nodes; None: as in the spec (``grid:2x3``, a file), or 4.
        seed: of draws from the ranges of a custom file; make_plan draws the other edges.
        place: the regions of the ranks, for ``regions:aws``; None: all of its regions in turn.

    Raises:
        TopologyError: the name is unknown, or its arguments, file or number of nodes are wrong.
    """
    if nodes is not None:
        check_size(nodes)
    head, colon, argument = spec.partition(":")
    name = head.strip().lower().replace("-", "_")
    name = _ALIASES.get(name, name)
    if name == "regions" and argument and not is_whole_number(argument):
        return load_regions(argument).topology(nodes, place)
    if place is not None:
        raise TopologyError(f"--place is for topologies with real regions, e.g. -t regions:aws, not for {quoted(spec)}")
    if name == "matrix" or "/" in spec or spec.lower().endswith((".yaml", ".yml", ".csv")):
        return load_custom(spec, nodes, seed)
    if name not in TOPOLOGIES:
        hint = suggest(name, [*TOPOLOGIES, *_ALIASES, "matrix"])
        raise TopologyError(f"topology {quoted(spec)} is unknown; {hint} (a file of your own: ./NAME.yaml)")
    if colon and name in _PLAIN:
        raise TopologyError(f"topology {quoted(spec)}: {name} takes no argument; write {name} and --nodes N")
    size = nodes or DEFAULT_NODES
    if name == "grid" and colon:
        rows, _, columns = argument.lower().partition("x")
        size = _number(spec, rows, "grid:2x3") * _number(spec, columns, "grid:2x3")
        check_clash(f"topology {quoted(spec)}", size, nodes)
        check_size(size)
        return _collect(f"grid:{int(rows)}x{int(columns)}", size, map(_edge, _grid(size, int(columns))))
    if name == "grid":
        return _collect(name, size, map(_edge, _grid(size, _grid_columns(size))))
    if name == "tree":
        arity = _number(spec, argument, "tree:3") if colon else 2
        return _collect(f"tree:{arity}" if colon else name, size, map(_edge, _tree(size, arity)))
    if name in _CLUSTERED:
        count = _number(spec, argument, f"{name}:3") if colon else min(2, size)
        if count > size:
            given = f"--nodes is {nodes}" if nodes else f"--nodes is {DEFAULT_NODES} where it is not given"
            raise TopologyError(f"topology {quoted(spec)} needs at least {count} nodes, one per {name[:-1]}; {given}")
        clusters = _clusters(size, count)
        regions = {f"r{number}": tuple(cluster) for number, cluster in enumerate(clusters)}
        return replace(_collect(f"{name}:{count}", size, _CLUSTERED[name](size, clusters)), regions=regions)
    return _collect(name, size, map(_edge, _PLAIN[name](size)))


def _edge(pair: tuple[int, int]) -> TopologyEdge:
    return TopologyEdge(*pair)


def _number(spec: str, text: str, example: str) -> int:
    if not (is_whole_number(text) and len(text) <= 6 and int(text)):
        raise TopologyError(f"topology {quoted(spec)}: {quoted(text)} is not a number from 1 up; write e.g. {example}")
    return int(text)


def _collect(name: str, size: int, edges: Iterable[TopologyEdge]) -> Topology:
    found = tuple(islice(edges, MAX_EDGES + 1))
    check_edges(name, size, len(found))
    return Topology(name, size, found)
