"""Topologies: the edges of each kind, and routes that are shortest, symmetric and consistent."""

import itertools
import subprocess
import sys
import time
from fractions import Fraction

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import TopologyError
from harness.model.link import LinkShape
from harness.model.topology import Topology, TopologyEdge
from harness.model.topology_names import TOPOLOGIES, build_topology
from harness.model.units import Rate, Ratio, Time

MS = 10**6


def pairs(topology):
    return [(edge.a, edge.b) for edge in topology.edges]


def graph(topology):
    made = nx.Graph(pairs(topology))
    made.add_nodes_from(range(topology.size))
    return made


@pytest.mark.parametrize(
    ("spec", "nodes", "edges"),
    [
        ("ring", 4, [(0, 1), (0, 3), (1, 2), (2, 3)]),
        ("ring", 2, [(0, 1)]),
        ("ring", 3, [(0, 1), (0, 2), (1, 2)]),
        ("star", 4, [(0, 1), (0, 2), (0, 3)]),
        ("line", 4, [(0, 1), (1, 2), (2, 3)]),
        ("fully_connected", 3, [(0, 1), (0, 2), (1, 2)]),
        ("tree", 6, [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5)]),
        ("tree:3", 5, [(0, 1), (0, 2), (0, 3), (1, 4)]),
        ("tree:1", 3, [(0, 1), (1, 2)]),
        ("grid", 4, [(0, 1), (0, 2), (1, 3), (2, 3)]),
        ("grid:2x3", None, [(0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (4, 5)]),
        ("grid", 5, [(0, 1), (0, 3), (1, 2), (1, 4), (3, 4)]),
        ("islands", 4, [(0, 1), (0, 2), (2, 3)]),
        ("islands:3", 3, [(0, 1), (0, 2), (1, 2)]),
    ],
)
def test_edges(spec, nodes, edges):
    topology = build_topology(spec, nodes)
    assert pairs(topology) == edges
    assert topology.size == (nodes or 6)


def test_names_aliases_and_default_size():
    assert build_topology("Fully-Connected") == build_topology("full") == build_topology("mesh", 4)
    assert build_topology("grid:2x3").name == "grid:2x3"
    assert build_topology("islands", 5).name == "islands:2"
    assert build_topology("ring").name == "ring"
    assert build_topology("tree:3").name == "tree:3"


@pytest.mark.parametrize(("nodes", "columns"), [(12, 4), (10, 5), (9, 3), (7, 3), (13, 4), (2, 2)])
def test_grids_are_as_square_as_they_can_be(nodes, columns):
    assert pairs(build_topology("grid", nodes)) == pairs(Topology("x", nodes, build_topology("grid", nodes).edges))
    assert (0, columns) in pairs(build_topology("grid", nodes)) or nodes <= columns
    assert (columns - 1, columns) not in pairs(build_topology("grid", nodes))


@pytest.mark.parametrize("spec", TOPOLOGIES)
def test_one_node_has_no_edges(spec):
    topology = build_topology(spec, 1)
    assert topology.edges == ()
    assert topology.next_hops() == {0: {}}
    assert topology.neighbours(0) == []


@given(st.sampled_from(TOPOLOGIES), st.integers(1, 60))
def test_every_topology_of_every_size_is_connected(spec, nodes):
    topology = build_topology(spec, nodes)
    assert nx.is_connected(graph(topology))
    assert pairs(topology) == sorted(pairs(topology))


@given(st.integers(1, 40), st.data())
def test_islands_are_even_contiguous_meshes_joined_by_their_first_ranks(nodes, data):
    count = data.draw(st.integers(1, nodes))
    topology = build_topology(f"islands:{count}", nodes)
    inside = graph(topology)
    inside.remove_edges_from([(edge.a, edge.b) for edge in topology.edges if edge.tier])
    clusters = [sorted(part) for part in nx.connected_components(inside)]
    assert len(clusters) == count
    assert max(map(len, clusters)) - min(map(len, clusters)) <= 1
    assert all(part == list(range(part[0], part[-1] + 1)) for part in clusters)
    assert all(pair in inside.edges for part in clusters for pair in itertools.combinations(part, 2))
    gateways = sorted(part[0] for part in clusters)
    assert [(e.a, e.b) for e in topology.edges if e.tier] == list(itertools.combinations(gateways, 2))


@st.composite
def connected(draw):
    size = draw(st.integers(1, 14))
    tree = {(draw(st.integers(0, rank - 1)), rank) for rank in range(1, size)}
    every = list(itertools.combinations(range(size), 2))
    more = set(draw(st.lists(st.sampled_from(every)))) if every else set()
    order = draw(st.permutations(sorted(tree | more)))
    return Topology("random", size, tuple(TopologyEdge(*pair) for pair in order))


def way(hops, src, dst):
    ranks = [src]
    while ranks[-1] != dst:
        ranks.append(hops[ranks[-1]][dst])
        assert len(ranks) <= len(hops), "a loop"
    return ranks


@given(connected())
def test_routes_are_shortest_symmetric_and_consistent(topology):
    hops, distance = topology.next_hops(), dict(nx.all_pairs_shortest_path_length(graph(topology)))
    for src, dst in itertools.permutations(range(topology.size), 2):
        ranks = way(hops, src, dst)
        assert len(ranks) - 1 == distance[src][dst]
        assert all(topology.edge(a, b) for a, b in itertools.pairwise(ranks))
        assert ranks == way(hops, dst, src)[::-1]
        assert all(way(hops, via, dst) == ranks[index:] for index, via in enumerate(ranks))


@given(connected())
def test_routes_are_those_of_dijkstra_with_the_documented_weights(topology):
    from hashlib import sha256

    weighted = graph(topology)
    for a, b in weighted.edges:
        low, high = sorted((a, b))
        weighted[a][b]["weight"] = 2**64 + int(sha256(f"{low}-{high}".encode()).hexdigest()[:10], 16)
    hops = topology.next_hops()
    for src, ways in nx.all_pairs_dijkstra_path(weighted):
        assert hops[src] == {dst: ranks[1] for dst, ranks in ways.items() if dst != src}


@given(connected())
def test_order_of_edges_does_not_matter(topology):
    turned = Topology("random", topology.size, topology.edges[::-1])
    assert turned == topology
    assert turned.next_hops() == topology.next_hops()


@pytest.mark.parametrize("spec", ["full", "ring", "grid", "star", "islands:8"])
def test_64_nodes_are_fast(spec):
    start = time.process_time()
    build_topology(spec, 64).next_hops()
    assert time.process_time() - start < 0.7


def test_neighbours_and_edges():
    ring = build_topology("ring", 4)
    assert ring.neighbours(0) == [1, 3]
    assert ring.edge(3, 0) is ring.edge(0, 3)
    with pytest.raises(TopologyError, match="no edge 0-2 in ring; node 0 has: 0-1, 0-3"):
        ring.edge(0, 2)
    with pytest.raises(TopologyError, match="no rank 9"):
        ring.neighbours(9)
    with pytest.raises(TopologyError, match="no rank -1"):
        ring.edge(-1, 0)


def test_shapes_of_an_edge():
    drawn = LinkShape(delay=Time(20 * MS), jitter=Time(2 * MS), rate=Rate(800), reorder=Ratio(Fraction(1, 100)))
    own = LinkShape(delay=Time(50 * MS))
    assert TopologyEdge(0, 1).shapes(drawn) == (drawn, drawn)
    assert TopologyEdge(0, 1, forward=own).shapes(drawn) == (own, drawn)
    mixed = TopologyEdge(0, 1, 0, own, LinkShape(), frozenset({"rate", "jitter", "reorder"}))
    assert mixed.shapes(drawn) == (
        drawn.changed(delay=Time(50 * MS), jitter=Time(5 * MS)),
        LinkShape(rate=Rate(800)),
    )
    assert mixed.shapes(LinkShape()) == (own, LinkShape())


@pytest.mark.parametrize(
    ("spec", "nodes", "words"),
    [
        ("rnig", None, "topology 'rnig' is unknown; did you mean 'ring'?"),
        ("", None, "known: fully_connected, ring"),
        ("ring", 0, "0 nodes: give a number from 1 to 4094"),
        ("ring", -3, "-3 nodes"),
        ("ring", 65535, "65535 nodes"),
        ("full", 4094, "over 500000 edges"),
        ("islands", 4094, "over 500000 edges"),
        ("ring:3", None, "ring takes no argument"),
        ("grid:2x3", 5, "has 6 nodes, but --nodes is 5"),
        ("grid:2", None, "'' is not a number"),
        ("grid:2x3x4", None, "'3x4' is not a number"),
        ("grid:0x4", None, "'0' is not a number from 1 up"),
        ("grid:", None, "write e.g. grid:2x3"),
        ("grid:999x999", None, "998001 nodes"),
        ("tree:0", None, "tree:3"),
        ("tree:-1", None, "'-1' is not a number"),
        ("islands:5", None, "needs at least 5 nodes, one per island; --nodes is 4 where it is not given"),
        ("islands:5", 3, "--nodes is 3"),
        ("islands:two", None, "'two' is not a number"),
        ("islands:²", 4, "is not a number"),
    ],
)
def test_bad_specs(spec, nodes, words):
    with pytest.raises(TopologyError) as caught:
        build_topology(spec, nodes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ([(0, 1), (2, 3)], "falls into 2 parts that no edge joins: 0,1 | 2,3"),
        ([], "4 parts that no edge joins: 0 | 1 | 2 | 3"),
        ([(1, 0)], "1-0 is not an edge"),
        ([(1, 1)], "1-1 is not an edge"),
        ([(0, 4)], "0-4 is not an edge"),
        ([(0, 1), (0, 1)], "is there twice"),
    ],
)
def test_bad_graphs(edges, words):
    with pytest.raises(TopologyError) as caught:
        Topology("mine", 4, tuple(TopologyEdge(*pair) for pair in edges))
    assert words in str(caught.value)


def test_a_graph_in_many_parts_is_told_briefly_and_soon():
    with pytest.raises(TopologyError, match=r"4094 parts that no edge joins: 0 \| 1 \| 2 \| 3 \| \.\.\.") as caught:
        Topology("mine", 4094, ())
    assert len(str(caught.value)) < 200


def test_importing_costs_no_heavy_module():
    code = "import sys, harness.model.topology; print({'yaml'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
