"""Regions, trunks and caps of nodes in topology files, and the clusters of islands and regions."""

from pathlib import Path

import pytest

from harness.errors import InputError, TopologyError
from harness.model.capacity import Capacity, NodeShape
from harness.model.cpu import CpuShare
from harness.model.plan_options import PlanOptions
from harness.model.profile_file import load_profile
from harness.model.queueing import Queue
from harness.model.topology_names import build_topology
from harness.model.units import Rate, Size, Time

TWO = "regions: {eu: [0, 1], us: [2, 3]}\n"


@pytest.fixture(autouse=True)
def _directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def build(text, seed=0):
    Path("my.yaml").write_text(text)
    return build_topology("my.yaml", None, seed)


def plan(text, **options):
    Path("my.yaml").write_text(text)
    return PlanOptions(topology="./my.yaml", **options).plan()


def mbit(number):
    return Rate(number * 10**6)


def test_a_trunk_between_all_regions_and_others_between_some():
    topology = build(
        TWO + "trunk: 1gbit\ntrunks:\n- {from: us, to: eu, rate: 100mbit, queue: codel, buffer: 64KiB, overhead: 24}\n"
    )
    assert topology.regions == {"eu": (0, 1), "us": (2, 3)}
    assert topology.trunks == {
        ("eu", "us"): Capacity(mbit(1000)),
        ("us", "eu"): Capacity(mbit(100), Queue.of("codel"), Size(65536), 24),
    }
    assert [(one.a, one.b) for one in topology.edges if one.tier] == [(0, 2), (0, 3), (1, 2), (1, 3)]


def test_a_trunk_is_each_direction_s_own_and_all_pairs_share_it():
    made = plan(TWO + "trunks: [{between: [us, eu], rate: [10mbit, 20mbit]}]", profile="none")
    there, back = made.trunks
    assert (there.name, back.name) == ("eu->us", "us->eu")
    assert there.capacity == back.capacity
    assert mbit(10) <= there.capacity.rate <= mbit(20)
    assert there.edges == ((0, 2), (0, 3), (1, 2), (1, 3))
    assert made.guarded


def test_a_trunk_of_all_leaves_out_regions_that_no_edge_joins():
    edges = "edges: [{between: [0, 1]}, {between: [1, 2]}]\n"
    assert set(build(edges + "regions: {a: [0], b: [1], c: [2]}\ntrunk: 1gbit").trunks) == {
        ("a", "b"),
        ("b", "a"),
        ("b", "c"),
        ("c", "b"),
    }


def test_the_narrowest_caps_count_each_direction_apart():
    topology = build(
        TWO + "caps:\n  2: {uplink: 5mbit}\n  us: {uplink: 10mbit, downlink: none}\n"
        "  all: {uplink: {rate: 20mbit, queue: {kind: codel, ecn: no}, buffer: 200ms}, downlink: 100mbit}\n"
    )
    every = {
        "uplink": Capacity(mbit(20), Queue.of("codel", ecn=False), Time(200_000_000)),
        "downlink": Capacity(mbit(100)),
    }
    assert topology.nodes == {
        0: every,
        1: every,
        2: {"uplink": Capacity(mbit(5)), "downlink": None},
        3: {"uplink": Capacity(mbit(10)), "downlink": None},
    }


def test_what_a_file_says_of_a_node_wins_over_options_and_profile(tmp_path):
    Path("line.yaml").write_text("uplink: 3mbit\ndownlink: 30mbit\n")
    made = plan(
        "nodes: 4\ncaps: {0: {uplink: none}, 1: {downlink: 7mbit}, 2: {profile: line.yaml, downlink: none}}",
        profile="./line.yaml",
        uplink="9mbit",
    )
    nine, thirty = Capacity(mbit(9)), Capacity(mbit(30))
    assert made.nodes == {
        0: NodeShape(None, thirty),
        1: NodeShape(nine, Capacity(mbit(7))),
        2: NodeShape(Capacity(mbit(3)), None),
        3: NodeShape(nine, thirty),
    }


def test_a_share_of_a_cpu_of_all_yields_to_the_file_and_one_that_names_a_rank_wins():
    file = (
        "nodes: 5\nregions: {us: [2, 3]}\ncaps: {all: {cpu: 80%}, us: {cpu: none}, 1: {cpu: 25%}, 4: {uplink: 1mbit}}"
    )
    assert [plan(file).node_shape(rank).cpu for rank in range(5)] == [
        *map(CpuShare, (800, 250)),
        None,
        None,
        CpuShare(800),
    ]
    made = plan(file, cpu=("all=10%,1-2=150%", "3=5%"))
    assert [made.node_shape(rank).cpu for rank in range(5)] == list(map(CpuShare, (800, 1500, 1500, 50, 800)))
    made = plan("nodes: 2\ncaps: {1: {uplink: 1mbit}}", cpu=("40%",))
    assert made.nodes == {0: NodeShape(cpu=CpuShare(400)), 1: NodeShape(Capacity(mbit(1)), cpu=CpuShare(400))}


def test_an_option_can_take_a_profile_s_cap_away():
    Path("line.yaml").write_text("uplink: 3mbit\ndownlink: 30mbit\n")
    made = PlanOptions(2, profile="./line.yaml", uplink="none").plan()
    assert made.nodes == {rank: NodeShape(None, Capacity(mbit(30))) for rank in (0, 1)}


def test_edges_between_regions_are_slow_ones():
    made = plan(TWO, profile="local", between="poor", seed=3)
    assert made.edges[0, 1].shape == load_profile("local").sample(3, 0, 1)
    assert made.edges[1, 2].shape == load_profile("poor").sample(3, 1, 2)
    assert made.profile == "local+poor"


def test_regions_by_name_join_all_and_islands_keep_their_relays():
    regions, islands = build_topology("regions:2", 5), build_topology("islands:2", 5)
    assert regions.regions == islands.regions == {"r0": (0, 1, 2), "r1": (3, 4)}
    assert len(regions.edges) == 10
    assert [(one.a, one.b) for one in islands.edges if one.tier] == [(0, 3)]
    assert [(one.a, one.b) for one in regions.edges if one.tier] == [(a, b) for a in (0, 1, 2) for b in (3, 4)]


def test_trunk_is_an_option_of_regions_and_islands():
    made = PlanOptions(6, topology="regions:3", trunk="50mbit").plan()
    assert [one.name for one in made.trunks] == ["r0->r1", "r0->r2", "r1->r0", "r1->r2", "r2->r0", "r2->r1"]
    assert all(one.capacity == Capacity(mbit(50)) and len(one.edges) == 4 for one in made.trunks)
    assert [one.edges for one in PlanOptions(6, topology="islands:2", trunk="50mbit").plan().trunks] == [
        ((0, 3),),
        ((3, 0),),
    ]
    with pytest.raises(InputError, match="take -t regions:2"):
        PlanOptions(4, topology="ring", trunk="50mbit").plan()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("regions: {eu: [0, 1], us: [1]}", "my.yaml:1: regions.us[0]: rank 1 is in region eu already"),
        ("nodes: 2\nregions: {eu: [0], us: [2]}", "my.yaml:2: regions.us: there is no rank 2; with nodes: 2"),
        ("regions: {eu: []}", "a region has at least one rank"),
        ("regions: {eu: 0}", "regions.eu: '0' where a list is expected"),
        ("nodes: 2\ncaps:", "my.yaml:2: caps: nothing where a mapping is expected, with keys such as all"),
        ("regions: [eu]", "regions: a list where a mapping is expected"),
        ("regions: {all: [0]}", "'all' is not a name of a region"),
        ("regions: {2: [0]}", "'2' is not a name of a region"),
        ('regions: {"a->b": [0]}', "is not a name of a region"),
        ("nodes: 2\ntrunk: 1gbit", "my.yaml:2: trunk: a trunk joins two regions"),
        (TWO + "trunk: 1gb", "my.yaml:2: trunk: '1gb' is not a rate"),
        (TWO + "trunks: [5]", "trunks[0]: a trunk is a mapping, e.g. {between: [eu, us], rate: 1gbit}"),
        (
            TWO + "trunks:\n- {between: [eu, asia], rate: 1gbit}",
            "my.yaml:3: trunks[0].between[1]: there is no region 'asia'; regions: eu, us",
        ),
        ("nodes: 2\ntrunks: [{from: a, to: b, rate: 1mbit}]", "there is no region 'a'; regions: none"),
        (TWO + "trunks: [{between: [eu, eu], rate: 1gbit}]", "region eu needs no trunk to itself"),
        (TWO + "trunks: [{between: [eu], rate: 1gbit}]", "between two regions, e.g. [eu, us]; this list has 1"),
        (TWO + "trunks: [{from: eu, rate: 1gbit}]", "a trunk has either between"),
        (TWO + "trunks: [{between: [eu, us]}]", "rate is missing"),
        (
            TWO + "trunks:\n- {between: [eu, us], rate: 1gbit}\n- {from: us, to: eu, rate: 1gbit}",
            "my.yaml:4: trunks[1]: us->eu is given twice (first in line 3)",
        ),
        (
            "edges: [{between: [0, 1]}, {between: [1, 2]}]\nregions: {a: [0], c: [2]}\n"
            "trunks: [{between: [a, c], rate: 1gbit}]",
            "no edge goes from a to c",
        ),
        (TWO + "trunks: [{between: [eu, us], rate: 1gbit, queue: cake}]", "trunks[0].queue: queue 'cake' is unknown"),
        (TWO + "trunk: {rate: 1gbit, queue: 'droptail,ecn=yes'}", "queue droptail has no parameter 'ecn'"),
        (TWO + "trunk: {rate: 1gbit, queue: {kind: pie, min: 5KiB}}", "queue pie has no parameter 'min'"),
        (TWO + "trunk: {rate: 1gbit, delay: 5ms}", "trunk: unknown key 'delay'"),
        (TWO + "trunk: {rate: 1gbit, overhead: 5000}", "overhead 5000 is not between"),
        ("nodes: 2\ncaps: {2: {uplink: 5mbit}}", "my.yaml:2: caps.2: '2' is not a rank from 0 to 1, and none of all"),
        (TWO + "caps: {asia: {uplink: 5mbit}}", "caps.asia: 'asia' is not a rank from 0 to 3, and none of all, eu, us"),
        ("nodes: 2\ncaps: {0: 5mbit}", "caps.0: '5mbit' where a mapping is expected, with keys such as uplink"),
        ("nodes: 2\ncaps: {0: {uplnk: 5mbit}}", "unknown key 'uplnk'; did you mean 'uplink'?"),
        ("nodes: 2\ncaps: {0: {cpu: 25}}", "caps.0.cpu: '25' is not a share of a CPU; write a percentage, e.g. 25%"),
        ("nodes: 2\ncaps: {0: {uplink: {queue: codel}}}", "caps.0.uplink: rate is missing"),
        ("nodes: 2\ncaps: {0: {profile: hom}}", "caps.0.profile: profile 'hom' is unknown"),
    ],
)
def test_bad_files(text, words):
    with pytest.raises(TopologyError) as caught:
        build(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
