"""A node's uplink beside links in user space: the kernel's htb limits what all its flows send together."""

import contextlib
from dataclasses import replace

import pytest

from harness.errors import UnavailableError
from harness.model.capacity import Capacity, NodeShape
from harness.model.queueing import Queue
from harness.model.units import Rate
from harness.networks.registry import LocalRegistry
from harness.shaping.detect import features
from tests.support.bulk_flows import assert_shared, wire_rates
from tests.support.live import needs, network, ping, up
from tests.support.plans import shape

pytestmark = [*needs(), pytest.mark.nfqueue]
UPLINK = Capacity(Rate(20_000_000))
CODEL = Capacity(Rate(20_000_000), Queue.of("codel"))


def with_uplink(plan, capacity):
    return plan.with_nodes({0: NodeShape(uplink=capacity)})


@pytest.mark.timing
def test_three_peers_share_an_uplink_fairly_and_use_all_of_it():
    plan = with_uplink(network("star", 4, shape(delay="10ms")), UPLINK)
    with up(plan) as net:
        assert_shared(net, [(0, 1), (0, 2), (0, 3)], 20)
        stats = net.observe([0])[0].caps["uplink"].stats
        assert stats.sent_bytes > 4 * 19e6 / 8
        assert sum(wire_rates(net, [(1, 0)], seconds=2)) > 40, "the other way is not limited"


def test_nothing_is_lost_while_an_uplink_comes_changes_and_goes():
    with up(network("star", 3, shape(delay="30ms"))) as net:
        least = ping(net, 0, 1)[1]
        for capacity in (UPLINK, replace(UPLINK, rate=Rate(1_000_000), overhead=24), None, UPLINK):
            net.reshape(lambda plan, capacity=capacity: with_uplink(plan, capacity))
            lost, limited, _ = ping(net, 0, 1, interval=0.02)
            assert lost == 0
            assert limited < least + 10
            assert net.observe([0])[0].caps["uplink"].applied == capacity


def test_a_queue_that_this_kernel_has_not_is_refused_before_anything_is_made_or_changed(tmp_path):
    """Links in user space have disciplines of their own; those of an uplink are the kernel's."""
    there = all(feature.ok for feature in features({"sch_codel"}))
    plan = network("star", 3, shape(delay="1ms"))
    refused = (
        contextlib.nullcontext() if there else pytest.raises(UnavailableError, match=r"^queue of the uplink of node 0")
    )
    with refused, up(with_uplink(plan, CODEL), folder=tmp_path) as net:
        assert net.observe([0])[0].caps["uplink"].applied == CODEL
    assert not LocalRegistry(tmp_path).names()
    with up(with_uplink(plan, UPLINK)) as net:
        with refused:
            net.reshape(lambda now: with_uplink(now, CODEL))
        assert net.observe([0])[0].caps["uplink"].applied == (CODEL if there else UPLINK)
