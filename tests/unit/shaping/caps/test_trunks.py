"""Which trunks a bridge makes, on which device, of which edges."""

from dataclasses import replace

from harness.model.capacity import Capacity
from harness.model.units import Rate
from harness.shaping.caps.trunks import bridge_trunks
from tests.support.plans import network

CAPACITY = Capacity(Rate(10**9))
REGIONS = {"eu": (0, 1), "us": (2, 3), "ap": (4,)}
PLAN = replace(network("fully_connected", 6), regions=REGIONS, trunk_capacities={("us", "eu"): CAPACITY})


def test_every_way_has_a_device_of_its_own_whatever_is_limited():
    some, none = bridge_trunks(PLAN), bridge_trunks(replace(PLAN, trunk_capacities={}))
    assert [trunk.device for trunk in some] == [trunk.device for trunk in none]
    assert len({trunk.device for trunk in some}) == len(some) == 6
    assert [trunk.name for trunk in some if trunk.capacity] == ["us->eu"]
    assert not any(trunk.capacity for trunk in none)


def test_an_edge_crosses_the_trunk_of_its_regions_and_that_alone():
    edges = {trunk.name: trunk.edges for trunk in bridge_trunks(PLAN)}
    assert edges["us->eu"] == PLAN.trunks[0].edges == ((2, 0), (2, 1), (3, 0), (3, 1))
    assert edges["eu->us"] == ((0, 2), (0, 3), (1, 2), (1, 3))
    crossing = [edge for each in edges.values() for edge in each]
    assert len(crossing) == len(set(crossing)) == 2 * (2 * 2 + 2 * 1 + 2 * 1), "node 5 is in no region"
