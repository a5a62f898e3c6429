"""Downlinks and trunks beside netem: what several links bring together is limited, and shared fairly."""

import subprocess
from dataclasses import replace

import pytest

from harness.backends.netns.visits import in_bridge
from harness.errors import HarnessError
from harness.model.capacity import Capacity, NodeShape
from harness.model.queueing import DISCIPLINES, Queue
from harness.model.units import Rate, Size
from tests.support.bulk_flows import assert_shared, wire_rates
from tests.support.live import network, ping, up
from tests.support.plans import shape

pytestmark = [pytest.mark.netem, pytest.mark.namespaces]
MBIT_S = 10
"""What the guest carries while other tests run beside it."""
DOWNLINK = TRUNK = Capacity(Rate(MBIT_S * 10**6))


def with_downlink(plan, rank, capacity=DOWNLINK):
    return plan.with_nodes({rank: NodeShape(downlink=capacity)})


@pytest.mark.full  # on netem too, tests/live/test_shared_capacity.py
@pytest.mark.timing
def test_four_senders_share_a_downlink_fairly_and_use_all_of_it():
    plan = with_downlink(network("star", 5, shape(delay="10ms")), 0)
    with up(plan) as net:
        assert_shared(net, [(rank, 0) for rank in (1, 2, 3, 4)], MBIT_S)
        found = net.observe([0])[0]
        assert found.caps["downlink"].applied == DOWNLINK
        assert found.caps["downlink"].stats.sent_bytes > 4 * 0.95e6 * MBIT_S / 8


def test_nothing_is_lost_while_a_downlink_comes_changes_and_goes():
    plan = network("star", 3, shape(delay="30ms"))
    with up(plan) as net:
        lost, least, _ = ping(net, 1, 0)
        assert lost == 0
        for capacity in (DOWNLINK, replace(DOWNLINK, rate=Rate(1_000_000)), None, DOWNLINK):
            limited = net.reshape(lambda now, capacity=capacity: with_downlink(now, 0, capacity)).plan
            assert limited.node_shape(0).downlink == capacity
            lost, limited, _ = ping(net, 1, 0, interval=0.02)
            assert lost == 0
            assert limited < least + 10


def test_every_queue_discipline_takes_the_place_of_every_other_and_is_read_back():
    queues = [
        Queue.of(kind, ecn=ecn) if kind != "droptail" else Queue() for kind in DISCIPLINES for ecn in (True, False)
    ]
    plan = regions(with_downlink(network("ring", 4, shape(delay="1ms")), 1))
    with up(plan) as net:
        for queue in (*queues, *reversed(queues)):
            capacity = replace(DOWNLINK, queue=queue, buffer=Size(64_000))
            net.reshape(lambda now, capacity=capacity: regions(with_downlink(now, 1, capacity), capacity))
            assert net.observe([1])[1].caps["downlink"].applied == capacity
            assert net.trunks()["eu->us"].applied == capacity
        assert ping(net, 1, 2)[0] == 0


def regions(plan, capacity=TRUNK):
    """Nodes 0 and 1 in one region, 2 and 3 in the other; one direction is limited."""
    return replace(plan, regions={"eu": (0, 1), "us": (2, 3)}, trunk_capacities={("eu", "us"): capacity})


@pytest.mark.timing
def test_pairs_share_a_trunk_fairly_one_direction_apart():
    plan = regions(network("fully_connected", 4, shape(delay="10ms")))
    with up(plan) as net:
        assert_shared(net, [(0, 2), (0, 3), (1, 2), (1, 3)], MBIT_S)
        (status,) = net.trunks().values()
        assert status.applied == TRUNK
        assert status.stats.sent_bytes > 4 * 0.95e6 * MBIT_S / 8
        assert sum(wire_rates(net, [(2, 0)], seconds=2)) > 1.5 * MBIT_S, "the other way is not limited"


def test_a_trunk_changes_in_place_and_what_another_changed_is_told():
    with up(regions(network("ring", 4, shape(delay="1ms")))) as net:
        for capacity in (replace(TRUNK, rate=Rate(5_000_000), overhead=24), replace(TRUNK, overhead=-14), TRUNK):
            net.reshape(lambda plan, capacity=capacity: regions(plan, capacity))
            assert [status.applied for status in net.trunks().values()] == [capacity]
        net.reshape(lambda plan: regions(plan, replace(TRUNK, rate=Rate(10**9))))
        lossy = net.reshape(lambda plan: plan.changed([replace(plan.edge(0, 1), shape=shape(loss="1%"))])).plan
        assert lossy.max_segments == 1 != regions(network("ring", 4), replace(TRUNK, rate=Rate(10**9))).max_segments
        assert net.trunks()["eu->us"].applied.rate == Rate(10**9), "smaller super-packets leave it as it is"
        free = net.reshape(lambda plan: replace(plan, trunk_capacities={})).plan
        assert not free.trunks
        assert ping(net, 0, 2)[0] == 0
        net.reshape(regions)
        damage = ["tc", "filter", "del", "dev", "n1", "ingress"]
        in_bridge(net.backend._require(), lambda: subprocess.run(damage, check=True))
        with pytest.raises(HarnessError, match=r"trunks from n1: . of its . filters are missing"):
            net.trunks()
        net.reshape(lambda plan: regions(plan, replace(TRUNK, rate=Rate(6_000_000))))
        assert net.trunks()["eu->us"].applied.rate == Rate(6_000_000)
