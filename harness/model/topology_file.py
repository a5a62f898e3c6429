"""Custom topologies: a YAML list of edges, or a delay matrix (and a rate matrix) as CSV.

YAML::

    description: two sites          # optional
    nodes: 3                        # optional: the highest rank + 1
    edges:
      - {between: [0, 1], delay: 20ms, rate: 10MB/s}    # both directions
      - {from: 1, to: 2, delay: 80ms, loss: 1%}         # one direction ...
      - {from: 2, to: 1, delay: 95ms}                   # ... needs an entry for the other one
      - {between: [0, 2], profile: wan, delay: 50ms}    # drawn from this profile, with another delay
    regions: {eu: [0, 1], us: [2]}  # optional, for trunks
    trunks:                         # optional: what all edges from one region to another share
      - {between: [eu, us], rate: 100mbit}              # 100 Mbit/s there and 100 Mbit/s back
    caps:                           # optional: what all edges of a node share
      all: {uplink: 20mbit, downlink: 100mbit}          # nodes of a region, or a node by its rank, may differ
      2: {uplink: {rate: 5mbit, queue: codel, buffer: 200ms}, downlink: none, cpu: 25%}

The keys that shape an edge are those of a profile, scalars or ranges. An edge without any of them is drawn from the
network's profile. An edge with some has no other effects, unless it names a `profile` to start from (by name, or by a
path relative to the file). Each direction must be given. Without `edges`, all nodes are joined. Edges between regions
are slow: where they give no shape, it is drawn from `--between`, as between islands. `trunk: 1gbit` sets the trunks of
all pairs of regions. See docs/capacity.md.

CSV: ``matrix:delay=D.csv,rate=R.csv``. Cell (i, j), both counted from 0, is i->j with its unit (``20ms``); a cell that
is empty, ``-``, ``N/A``, ``inf`` or ``-1`` is no edge, and the diagonal is ignored. All else (the rate where there is
only a delay matrix; jitter, loss and so on) comes from the network's profile. Lines that start with ``#`` are comments.

Latency matrices are read as they are published. ``matrix:rtt=pings.csv,unit=ms`` takes plain numbers as milliseconds of
a round trip: each direction gets half (the network's name says so), and a pair that was measured from one side only is
the same from the other. ``unit`` is for delay and rtt, ``rate_unit=mbit`` for the rates. Commas, semicolons or tabs
separate cells. The first row and column may name the nodes; ranks follow the order of rows, and the names put a second
file into that order. Instead of a square, a file may have one line per pair, under a heading that begins ``src,dst``
(``from,to``; ``source,destination``), followed by the value; further columns are ignored:

    source;destination;RTT [ms]
    Amsterdam;London;7,4
    Amsterdam;Tokyo;234,1
    London;Tokyo;N/A
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

from harness.errors import TopologyError, quoted
from harness.model.address import MAX_NODES
from harness.model.link import LinkShape, Pair
from harness.model.matrix_topology import MATRIX_EXAMPLE, load_matrix
from harness.model.profile import SHAPE_KEYS, Profile
from harness.model.profile_file import named_profile
from harness.model.region_file import read_caps, read_regions, read_trunks, two_ends
from harness.model.regions import crossed_trunks
from harness.model.shape_file import read_shape
from harness.model.topology import Topology, TopologyEdge, check_clash, check_edges
from harness.model.yaml_file import Entry, read_yaml

TOPOLOGY_KEYS: Final = {
    "description": "What it is, in one line.",
    "nodes": "Number of nodes; the highest rank that is named + 1 unless given.",
    "edges": "A list of edges; all nodes are joined unless given.",
    "regions": "The ranks of each region, by its name: `{eu: [0, 1], us: [2, 3]}`.",
    "trunk": "Rate that all edges from one region to another share, for all pairs of regions: `1gbit`, or a capacity.",
    "trunks": "A list of trunks between two regions each; they override `trunk`.",
    "caps": "Uplink, downlink and CPU of nodes: under `all`, a region's name or a rank. The narrowest counts.",
}
"""The keys of a topology's file, with what they mean (docs/reference/)."""
EDGE_KEYS: Final = {
    "between": "Two ranks, `[0, 1]`: an edge with both its directions.",
    "from": "Instead of `between`, with `to`: one direction. The other one needs an entry of its own.",
    "to": "See `from`.",
    "profile": "Profile from which the edge draws what it does not set itself: a name, or a file in the same folder.",
}
"""The keys of an edge beside those of a link."""


def load_custom(spec: str, nodes: int | None, seed: int) -> Topology:
    """The topology of a YAML file's path or of a ``matrix:`` spec; see this module's docstring.

    Args:
        spec: as `harness.model.topology_names.build_topology` takes it.
        nodes: the user's --nodes; None: as many as the file has.
        seed: of draws from ranges.

    Raises:
        TopologyError: the file is missing or wrong (with file, line and place), or has another number of nodes.
    """
    head, _, _ = spec.partition(":")
    if head.strip().lower() == "matrix":
        return load_matrix(spec, nodes)
    if spec.lower().endswith(".csv"):
        raise TopologyError(f"topology {quoted(spec)}: a CSV file needs to say what it holds; write {MATRIX_EXAMPLE}")
    return _load_yaml(Path(spec), nodes, seed)


@dataclass(frozen=True)
class _Direction:
    place: Entry
    profile: Profile | None


def _load_yaml(path: Path, nodes: int | None, seed: int) -> Topology:
    root = read_yaml(path, TopologyError)
    values = root.mapping(TOPOLOGY_KEYS)
    if "description" in values:
        values["description"].text("a line of text")
    given: dict[Pair, _Direction] = {}
    for place in values["edges"].items() if "edges" in values else []:
        _read_edge(place, given)
    regions = read_regions(values["regions"], _rank) if "regions" in values else {}
    size = _size(root, values, given, regions)
    check_clash(str(path), size, nodes)
    if "edges" not in values:
        check_edges(str(path), size, size * (size - 1) // 2)
        pairs = combinations(range(size), 2)
        given = {pair: _Direction(root, None) for a, b in pairs for pair in ((a, b), (b, a))}
    for (a, b), direction in given.items():
        if (b, a) not in given:
            raise direction.place.fault(
                f"edge {a}->{b} has no {b}->{a}; add an entry with from: {b}, to: {a}, or write between: [{a}, {b}]"
            )

    def shape(a: int, b: int) -> LinkShape | None:
        profile = given[a, b].profile
        return profile.sample(seed, a, b) if profile else None

    home = {rank: name for name, ranks in regions.items() for rank in ranks}

    def edge(a: int, b: int) -> TopologyEdge:
        return TopologyEdge(a, b, int(a in home and b in home and home[a] != home[b]), shape(a, b), shape(b, a))

    edges = tuple(edge(a, b) for a, b in sorted(given) if a < b)
    caps = read_caps(values["caps"], size, regions, seed) if "caps" in values else {}
    trunks = read_trunks(values, regions, crossed_trunks(regions, given), seed)
    try:
        return Topology(path.stem, size, edges, caps, regions, trunks)
    except TopologyError as cause:
        raise TopologyError(f"{path}: {cause}") from None


def _size(
    root: Entry, values: Mapping[str, Entry], given: Mapping[Pair, _Direction], regions: Mapping[str, tuple[int, ...]]
) -> int:
    """The file's number of nodes. Raises the error of an entry that names a rank beyond it."""
    if "nodes" not in values:
        if not given and not regions:
            raise root.fault("neither nodes nor edges are given")
        return 1 + max((rank for ranks in (*given, *regions.values()) for rank in ranks), default=0)
    size = values["nodes"].whole_number("a number of nodes")
    if not 1 <= size <= MAX_NODES:
        raise values["nodes"].fault(f"{size} nodes: give a number from 1 to {MAX_NODES}")
    named = [(max(pair), direction.place) for pair, direction in given.items()]
    named += [(max(ranks), values["regions"].named("eu")[name]) for name, ranks in regions.items()]
    for rank, place in named:
        if rank >= size:
            raise place.fault(f"there is no rank {rank}; with nodes: {size}, ranks are 0 to {size - 1}")
    return size


def _read_edge(place: Entry, given: dict[Pair, _Direction]) -> None:
    values = place.mapping([*EDGE_KEYS, *SHAPE_KEYS])
    a, b = (_rank(end) for end in two_ends(place, values, "an edge", "ranks, e.g. [0, 1]"))
    if a == b:
        raise place.fault(f"rank {a} needs no edge to itself")
    direction = _Direction(place, _inline_profile(place, values))
    for pair in [(a, b), (b, a)] if "between" in values else [(a, b)]:
        if pair in given:
            raise place.fault(f"{pair[0]}->{pair[1]} is given twice (first in line {given[pair].place.line})")
        given[pair] = direction


def _rank(entry: Entry) -> int:
    rank = entry.whole_number("a rank (0, 1, 2, ...)")
    if rank >= MAX_NODES:
        raise entry.fault(f"there is no rank {rank}; the highest possible is {MAX_NODES - 1}")
    return rank


def _inline_profile(place: Entry, values: Mapping[str, Entry]) -> Profile | None:
    if not values.keys() & {"profile", *SHAPE_KEYS}:
        return None
    base = named_profile(values["profile"]) if "profile" in values else Profile(place.path)
    return read_shape(place, values, base)
