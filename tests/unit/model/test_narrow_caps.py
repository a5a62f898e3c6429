"""Edges that are faster than what they share."""

from dataclasses import replace

from harness.model.capacity import Capacity, NodeShape
from harness.model.narrow_caps import narrow_caps
from harness.model.units import Rate
from tests.support.plans import network, shape

SLOW = Capacity(Rate(20_000_000))
PLAN = replace(network("full", 3, shape(rate="100mbit"), e12=shape(delay="1ms")), regions={"a": (0, 1), "b": (2,)})


def test_each_cap_on_the_way_is_named():
    assert narrow_caps(PLAN) == []
    plan = replace(PLAN.with_nodes({0: NodeShape(uplink=SLOW)}), trunk_capacities={("b", "a"): SLOW})
    assert narrow_caps(plan) == [
        "edges that never reach their own rate, because what they share is slower: 0->1 (100 Mbit/s; uplink of node 0"
        " 20 Mbit/s), 0->2 (100 Mbit/s; uplink of node 0 20 Mbit/s), 2->0 (100 Mbit/s; trunk b->a 20 Mbit/s)"
    ]
    assert "1->0 (100 Mbit/s; downlink of node 0" in narrow_caps(PLAN.with_nodes({0: NodeShape(downlink=SLOW)}))[0]


def test_only_the_edges_asked_for():
    plan = PLAN.with_nodes({0: NodeShape(uplink=SLOW)})
    assert narrow_caps(plan, {(1, 0), (1, 2)}) == []
    assert "0->1" in narrow_caps(plan, {(0, 1)})[0]


def test_a_cap_that_is_as_fast_and_edges_without_a_rate_are_not_named():
    assert narrow_caps(PLAN.with_nodes({0: NodeShape(Capacity(Rate(100_000_000)))})) == []
    assert narrow_caps(PLAN.with_nodes({1: NodeShape(downlink=SLOW)}), {(2, 1)}) == []


def test_an_edge_is_named_once_with_the_slowest_that_it_shares():
    plan = replace(
        PLAN.with_nodes({2: NodeShape(uplink=Capacity(Rate(50_000_000)))}), trunk_capacities={("b", "a"): SLOW}
    )
    assert narrow_caps(plan, {(2, 0)})[0].endswith(": 2->0 (100 Mbit/s; trunk b->a 20 Mbit/s)")


def test_many_are_cut():
    plan = network("full", 8, shape(rate="100mbit")).with_nodes({0: NodeShape(uplink=SLOW)})
    assert narrow_caps(plan)[0].endswith(" and 4 more")
