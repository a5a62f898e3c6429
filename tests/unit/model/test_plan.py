"""Plans: every edge has a shape, every destination a way, and the same input gives the same plan."""

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PlanError
from harness.model.address import Addressing
from harness.model.capacity import Capacity, NodeShape
from harness.model.link import UNSHAPED, LinkShape
from harness.model.make_plan import make_plan
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.profile import NONE, Profile
from harness.model.profile_file import load_profile
from harness.model.range import Range
from harness.model.topology import Topology, TopologyEdge
from harness.model.topology_names import TOPOLOGIES, build_topology
from harness.model.units import WHOLE, Rate, Time
from tests.support.plans import SHAPES, network, shape

WAN = load_profile("wan")


def test_both_directions_of_every_edge_are_drawn_from_the_profile():
    plan = make_plan(build_topology("ring", 4), WAN, 7)
    assert sorted(plan.edges) == [(0, 1), (0, 3), (1, 0), (1, 2), (2, 1), (2, 3), (3, 0), (3, 2)]
    for (src, dst), edge in plan.edges.items():
        assert edge == PlannedEdge(src, dst, WAN.sample(7, src, dst), "wan")
        assert edge.shape == plan.edge(dst, src).shape
    assert (plan.topology, plan.profile, plan.seed, plan.size) == ("ring", "wan", 7, 4)


def test_the_slow_edges_of_islands_have_a_profile_of_their_own():
    slow = Profile("slow", delay=Range(Time(10**8), Time(10**8)))
    plan = make_plan(build_topology("islands:2", 4), WAN, 7, between=slow)
    assert plan.profile == "wan+slow"
    assert {pair for pair, edge in plan.edges.items() if edge.origin == "slow"} == {(0, 2), (2, 0)}
    assert plan.edge(0, 2).shape.delay == Time(10**8)
    assert plan.edge(0, 1).origin == "wan"


def test_shapes_of_a_file_win_per_direction_and_inherit_what_they_lack():
    own = LinkShape(delay=Time(50_000_000))
    edges = (TopologyEdge(0, 1, 0, own, None), TopologyEdge(1, 2, 0, own, own, frozenset({"rate", "loss"})))
    plan = make_plan(Topology("mine", 3, edges), WAN, 1)
    assert plan.edge(0, 1) == PlannedEdge(0, 1, own, "file")
    assert plan.edge(1, 0) == PlannedEdge(1, 0, WAN.sample(1, 0, 1), "wan")
    drawn = WAN.sample(1, 1, 2)
    assert plan.edge(1, 2).shape == own.changed(rate=drawn.rate, loss=drawn.loss)


def test_without_a_profile_links_are_unshaped():
    plan = make_plan(build_topology("full", 3), NONE, 0)
    assert all(edge.shape == UNSHAPED for edge in plan.edges.values())
    assert plan.max_segments is None


@given(st.sampled_from(TOPOLOGIES), st.integers(1, 12))
def test_every_node_reaches_every_other_over_edges(topology, size):
    plan = make_plan(build_topology(topology, size), NONE, 0)
    for src, dst in itertools.permutations(range(size), 2):
        path = plan.path(src, dst)
        assert [edge.src for edge in path] == [src, *[edge.dst for edge in path[:-1]]]
        assert path[-1].dst == dst
        assert [edge.pair for edge in plan.path(dst, src)] == [edge.pair[::-1] for edge in reversed(path)]
    assert plan.path(0, 0) == []


@given(st.sampled_from(TOPOLOGIES), st.integers(1, 12))
def test_nodes_send_every_destination_over_one_egress(topology, size):
    plan = make_plan(build_topology(topology, size), NONE, 0)
    for rank in range(size):
        node = plan.node(rank)
        destinations = [dst for port in node.egress for dst in port.ranks]
        assert sorted(destinations) == [other for other in range(size) if other != rank]
        assert [port.edge.pair for port in node.egress] == [(rank, near) for near in plan.neighbours(rank)]
        assert all(port.neighbour == port.edge.dst and port.neighbour in port.ranks for port in node.egress)
        assert {dst for dst, _ in node.detours()} == set(destinations) - set(plan.neighbours(rank))
        assert all(plan.path(rank, dst)[0].dst == hop for dst, hop in node.detours())


TIES = """
edges:
  # A cube: up to six ways of three hops between two corners.
  - between: [0, 1]
  - between: [2, 3]
  - between: [4, 5]
  - between: [6, 7]
  - between: [0, 2]
  - between: [1, 3]
  - between: [4, 6]
  - between: [5, 7]
  - between: [0, 4]
  - between: [1, 5]
  - between: [2, 6]
  # One edge that differs by direction, and a rank behind the cube.
  - {from: 3, to: 7, delay: 10ms}
  - {from: 7, to: 3, delay: 90ms}
  - between: [7, 8]
"""
EXAMPLES = Path(__file__).parents[3] / "examples" / "topologies"
KNOWN = [
    *((spec, nodes) for spec in TOPOLOGIES for nodes in (1, 2, 3, 4, 5, 7, 8, 12, 16, 25, 32)),
    *((spec, nodes) for spec in ("tree:1", "tree:3", "islands:4", "islands:7") for nodes in (7, 16, 25)),
    ("grid:3x7", None),
    ("grid:5x5", None),
    ("grid:1x6", None),
    (str(EXAMPLES / "three-continents.yaml"), None),
    (f"matrix:delay={EXAMPLES / 'three-continents-delay.csv'}", None),
    ("ties.yaml", None),
]


@pytest.mark.parametrize(("spec", "nodes"), KNOWN)
def test_packets_arrive_through_the_port_that_has_their_source(spec, nodes, tmp_path):
    if spec == "ties.yaml":
        spec = str(tmp_path / spec)
        Path(spec).write_text(TIES)
    plan = make_plan(build_topology(spec, nodes), WAN, 0)
    ingress = [{port.neighbour: port for port in plan.node(rank).ingress} for rank in range(plan.size)]
    for src, dst in itertools.permutations(range(plan.size), 2):
        for edge in plan.path(src, dst):
            assert plan.next_hops[edge.dst][src] == edge.src
            port = ingress[edge.dst][edge.src]
            assert port.edge is edge
            assert src in port.ranks
    for rank, ports in enumerate(ingress):
        sources = [src for port in ports.values() for src in port.ranks]
        assert sorted(sources) == [other for other in range(plan.size) if other != rank], "one port for each source"


def test_a_nodes_part():
    node = network("line", 3, SHAPES["delay"]).node(1)
    assert (str(node.ipv4), str(node.ipv6)) == ("10.77.0.2", "fd77::2")
    assert node.forwards
    assert not network("line", 3).node(0).forwards
    assert not network("fully_connected", 3).node(0).forwards, "its neighbours reach each other without it"


def test_a_network_is_guarded_where_an_edge_is_shaped_or_down():
    plain = network("line", 3)
    downed = plain.changed([dataclasses.replace(plain.edge(1, 2), down=True)])
    for plan, guarded in ((plain, False), (network("line", 3, e01=shape(delay="1ms")), True), (downed, True)):
        assert plan.guarded is guarded
        assert {plan.node(rank).guarded for rank in range(3)} == {guarded}
    assert network("line", 3).node(0).detours() == [(2, 1)]


@pytest.mark.parametrize(
    ("own", "segments"),
    [
        (shape(), None),
        (shape(delay="10ms"), None),
        (shape(delay="10ms", jitter="1ms"), None),
        (LinkShape(rate=Rate.parse("34gbit")), None),
        (LinkShape(rate=Rate.parse("10gbit")), 41),
        (LinkShape(rate=Rate.parse("1gbit")), 4),
        (LinkShape(rate=Rate.parse("500mbit")), 2),
        (LinkShape(rate=Rate.parse("10mbit")), 1),
        (shape(loss="0.01%"), 1),
        (SHAPES["chain"], 1),
        (shape(duplicate="1%"), 1),
        (shape(corrupt="1%"), 1),
        (shape(delay="1ms", reorder="1%"), 1),
        (shape(limit=100), 1),
        (shape(rate="80gbit", burst="64KiB"), 1),
        (shape(rate="80gbit", overhead=24), 1),
    ],
)
def test_one_edge_that_counts_packets_cuts_every_nodes_segments(own, segments):
    plan = network("ring", 4, e01=own)
    assert plan.max_segments == segments
    assert {plan.node(rank).max_segments for rank in range(4)} == {segments}


@pytest.mark.parametrize(
    ("capacity", "segments"),
    [(Capacity(Rate(10**9)), 4), (Capacity(Rate(10**12)), None), (Capacity(Rate(10**12), overhead=24), 1)],
)
def test_what_edges_share_cuts_segments_too(capacity, segments):
    plan = network("ring", 4)
    halves = {"eu": (0, 1), "us": (2, 3)}
    trunk = dataclasses.replace(plan, regions=halves, trunk_capacities={("eu", "us"): capacity})
    nodes = [plan.with_nodes({1: NodeShape(**{side: capacity})}) for side in ("uplink", "downlink")]
    assert {plan.max_segments for plan in (trunk, *nodes)} == {segments}


@pytest.mark.parametrize("name", [*SHAPES, "duplicate"])
def test_a_link_that_is_down_loses_every_packet(name):
    own = SHAPES.get(name) or shape(duplicate="50%", loss="1%", loss_correlation="10%")
    down = PlannedEdge(0, 1, own, down=True).effective
    assert down.mean_loss == 1
    assert down.loss == WHOLE
    assert not down.duplicate, "netem lets one copy pass of a packet that it duplicates and loses"
    assert (down.delay, down.rate, down.burst) == (own.delay, own.rate, own.burst)
    assert PlannedEdge(0, 1, own).effective == own


def test_a_link_that_is_down_keeps_its_shape_for_when_it_is_up():
    plan = network("line", 2, SHAPES["everything"])
    down = plan.changed([dataclasses.replace(plan.edge(0, 1), down=True)])
    assert down.edge(0, 1).shape == SHAPES["everything"]
    assert down.edge(0, 1).to_json()["down"] is True
    assert down.edge(1, 0).effective == SHAPES["everything"]
    assert down.changed([dataclasses.replace(down.edge(0, 1), down=False)]) == plan


def test_changing_edges_leaves_the_plan_and_the_other_edges_alone():
    plan = network("ring", 4, SHAPES["delay"])
    edge = dataclasses.replace(plan.edge(2, 3), shape=SHAPES["loss"])
    new = plan.changed([edge])
    assert {pair for pair in plan.edges if plan.edges[pair] != new.edges[pair]} == {(2, 3)}
    assert plan == network("ring", 4, SHAPES["delay"])
    assert plan.changed([]) == plan
    with pytest.raises(PlanError, match="no edge 0-2"):
        plan.changed([PlannedEdge(0, 2, UNSHAPED)])


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ((0, 2), "there is no edge 0-2 in this ring; node 0 has: 0-1, 0-3"),
        ((1, 1), "there is no edge 1-1 in this ring; node 1 has: 1-0, 1-2"),
        ((0, 4), "there is no rank 4; this network has ranks 0 to 3"),
        ((-1, 0), "there is no rank -1; this network has ranks 0 to 3"),
    ],
)
def test_unknown_ranks_and_edges(pair, words):
    plan = network("ring", 4)
    with pytest.raises(PlanError) as caught:
        plan.edge(*pair)
    assert words in str(caught.value)
    for use in (plan.require_rank, plan.node, lambda rank: plan.path(0, rank)):
        with pytest.raises(PlanError, match="no rank 9"):
            use(9)


def test_a_single_node_has_no_edges():
    plan = network("ring", 1)
    assert plan.neighbours(0) == []
    assert plan.node(0).egress == plan.node(0).ingress == ()
    with pytest.raises(PlanError, match="node 0 has: none"):
        plan.edge(0, 0)


def test_more_nodes_than_addresses():
    with pytest.raises(PlanError, match="4 nodes do not fit"):
        make_plan(build_topology("ring", 4), WAN, 0, addressing=Addressing.parse("10.9.0.0/30"))


@given(st.sampled_from(TOPOLOGIES), st.integers(1, 9), st.integers(), st.sampled_from(["wan", "mobile-real", "poor"]))
def test_json_goes_there_and_back(topology, size, seed, profile):
    plan = make_plan(
        build_topology(topology, size),
        load_profile(profile),
        seed,
        between=WAN,
        addressing=Addressing.parse("172.16.0.0/20", "fd00:5::/80"),
    )
    told = json.loads(json.dumps(plan.to_json()))
    again = NetworkPlan.from_json(told)
    assert again == plan
    assert again.to_json() == told
    assert [again.node(rank) for rank in range(size)] == [plan.node(rank) for rank in range(size)]


@pytest.mark.parametrize("name", SHAPES)
def test_json_of_every_shape_goes_there_and_back(name):
    plan = network("line", 2, SHAPES[name])
    plan = plan.changed([dataclasses.replace(plan.edge(1, 0), down=True, origin="set")])
    assert NetworkPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_json_has_the_names_that_programs_rely_on():
    told = network("line", 3, SHAPES["everything"]).to_json()
    assert told["nodes"][0].items() >= {"rank": 0, "neighbours": [1], "routes": {"1-2": 1}}.items()
    assert (
        told["edges"][0].items()
        >= {
            "src": 0,
            "dst": 1,
            "rate_bit_s": 20_000_000,
            "delay_s": 0.03,
            "jitter_s": 0.003,
            "loss": 0.001,
        }.items()
    )
    assert len(told["edges"]) == 4
