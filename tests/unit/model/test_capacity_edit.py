"""Changes of shared capacities as a user writes them."""

from dataclasses import replace

import pytest

from harness.errors import InputError
from harness.model.capacity import Capacity, NodeShape
from harness.model.capacity_edit import node_change, parse_trunks, trunk_change
from harness.model.cpu import CpuShare
from harness.model.queueing import Queue
from harness.model.units import Rate, Size, Time
from tests.support.plans import network

PLAN = network("ring", 4)
REGIONS = replace(network("full", 5), regions={"eu-west": (0, 1), "us": (2, 3), "asia": (4,)})
FIVE = Capacity(Rate(5_000_000))


def test_a_limit_is_given_changed_and_taken_away():
    plan = node_change("0,2", {"uplink": "5mbit"})(PLAN)
    assert plan.nodes == {0: NodeShape(FIVE), 2: NodeShape(FIVE)}
    plan = node_change("2", {"downlink": "50mbit", "queue": "codel", "buffer": "64KiB", "overhead": "24"})(plan)
    down = Capacity(Rate(50_000_000), Queue.of("codel"), Size(65536), 24)
    assert plan.nodes[2] == NodeShape(FIVE, down), "parts of a capacity are of the sides that are named"
    plan = node_change("2", {"uplink": "6mbit"})(plan)
    assert plan.nodes[2] == NodeShape(Capacity(Rate(6_000_000)), down)
    plan = node_change("2", {"uplink": "none", "downlink": "none"})(plan)
    assert plan.nodes == {0: NodeShape(FIVE)}


def test_a_share_of_a_cpu_is_given_changed_and_taken_away():
    plan = node_change("1-2", {"cpu": "25%"})(node_change("2", {"uplink": "5mbit"})(PLAN))
    assert plan.nodes == {1: NodeShape(cpu=CpuShare(250)), 2: NodeShape(FIVE, cpu=CpuShare(250))}
    plan = node_change("2", {"cpu": "150%", "uplink": "none"})(plan)
    assert plan.nodes[2] == NodeShape(cpu=CpuShare(1500))
    assert node_change("all", {"cpu": "none"})(plan) == PLAN
    with pytest.raises(InputError, match=r"--cpu: 'half' is not a share of a CPU; write e.g. 25%"):
        node_change("2", {"cpu": "half"})
    with pytest.raises(InputError, match="node 1 has no uplink or downlink yet"):
        node_change("1", {"cpu": "25%", "queue": "codel"})(plan)


def test_parts_without_a_rate_are_of_the_limits_that_a_node_has():
    plan = node_change("1", {"uplink": "5mbit"})(node_change("2", {"uplink": "5mbit", "downlink": "6mbit"})(PLAN))
    plan = node_change("1,2", {"buffer": "100ms", "queue": "codel"})(plan)
    new = replace(FIVE, buffer=Time(10**8), queue=Queue.of("codel"))
    assert plan.nodes == {1: NodeShape(new), 2: NodeShape(new, replace(new, rate=Rate(6_000_000)))}
    assert node_change("1", {"buffer": "auto", "queue": "none"})(plan).nodes[1] == NodeShape(FIVE)


def test_a_side_that_is_taken_away_has_no_part_in_what_is_given():
    plan = node_change("2", {"uplink": "none", "downlink": "5mbit", "overhead": "24"})(PLAN)
    assert plan.nodes == {2: NodeShape(None, replace(FIVE, overhead=24))}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({}, "nothing to set: give uplink, downlink, queue, buffer, overhead or cpu"),
        ({"uplink": "5"}, "--uplink: '5' "),
        ({"downlink": "fast"}, "--downlink: "),
        ({"uplink": "5mbit", "queue": "sfq"}, "--queue: queue 'sfq' is unknown"),
        ({"uplink": "5mbit", "queue": "codel,min=5KiB"}, "--queue: queue codel has no parameter 'min'"),
        ({"uplink": "5mbit", "queue": "50ms"}, "--queue: queue '50ms' is unknown"),
        ({"uplink": "5mbit", "buffer": "100"}, "--buffer: '100' is neither a time nor a size"),
        ({"uplink": "5mbit", "overhead": "many"}, "--overhead: 'many' is not a number of bytes"),
        ({"uplink": "5mbit", "overhead": "5000"}, "node 2: uplink: overhead 5000 is not between -41 and 1000 bytes"),
        ({"queue": "codel"}, "node 2 has no uplink or downlink yet; give a rate, e.g. --uplink 20mbit"),
        ({"uplink": "none", "queue": "codel"}, "--uplink none takes the limit away, .* nothing that --queue could"),
    ],
)
def test_what_makes_no_sense(texts, words):
    with pytest.raises(InputError, match=words):
        node_change("2", texts)(PLAN)


def test_trunks_are_named_by_their_regions():
    assert parse_trunks("us-asia", REGIONS) == [("us", "asia"), ("asia", "us")]
    assert parse_trunks("eu-west-us", REGIONS, one_way=True) == [("eu-west", "us")]
    assert parse_trunks("us->eu-west", REGIONS, one_way=True) == [("us", "eu-west")]
    assert parse_trunks("us-asia, asia-us,us-eu-west", REGIONS, one_way=True) == [
        ("us", "asia"),
        ("asia", "us"),
        ("us", "eu-west"),
    ]
    assert len(parse_trunks("all", REGIONS)) == 6


def test_only_regions_that_an_edge_joins_have_a_trunk():
    far = replace(network("line", 3), regions={"a": (0,), "b": (1,), "c": (2,)})
    assert parse_trunks("all", far) == [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")]
    with pytest.raises(InputError, match="no edge goes from region a to region c"):
        parse_trunks("a-c", far)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("us-mars", "there is no region 'mars'; "),
        ("mars-us", "there is no region 'mars'; "),
        ("us", "'us' is not a trunk; write two regions as A-B, e.g. eu-west-us, or all; regions: eu-west, us, asia"),
        ("us-us", "'us-us' is not a trunk"),
        ("", "'' is not a trunk"),
        ("x-y-z", "'x-y-z' is not a trunk"),
    ],
)
def test_what_is_no_trunk(text, words):
    with pytest.raises(InputError, match=words):
        parse_trunks(text, REGIONS)


def test_a_network_without_regions_has_no_trunks():
    with pytest.raises(InputError, match="a trunk joins two regions, and this ring has none"):
        trunk_change("eu-us", {"rate": "5mbit"})(PLAN)


def test_a_trunk_is_given_changed_and_taken_away():
    plan = trunk_change("us-asia", {"rate": "5mbit"})(REGIONS)
    assert plan.trunk_capacities == {("us", "asia"): FIVE, ("asia", "us"): FIVE}
    plan = trunk_change("us-asia", {"queue": "codel"}, one_way=True)(plan)
    assert plan.trunk_capacities == {("asia", "us"): FIVE, ("us", "asia"): replace(FIVE, queue=Queue.of("codel"))}
    plan = trunk_change("asia-us", {"rate": "none"}, one_way=True)(plan)
    assert list(plan.trunk_capacities) == [("us", "asia")]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({}, "nothing to set: give rate, queue, buffer or overhead"),
        ({"rate": "5"}, "--rate: "),
        ({"queue": "codel"}, "trunk us->asia: there is no limit yet; give its rate"),
    ],
)
def test_what_makes_no_sense_of_a_trunk(texts, words):
    with pytest.raises(InputError, match=words):
        trunk_change("us-asia", texts)(REGIONS)
