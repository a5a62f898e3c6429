"""Limits that edges share, from Python, on the fakes."""

from dataclasses import replace

import pytest

import harness
from harness.api.shaped import ShapedNetwork
from harness.errors import HarnessError, InputError, NetworkStateError
from harness.model.capacity import Capacity
from harness.model.cpu import CpuShare
from harness.model.queueing import Queue
from harness.model.status import Stats
from harness.model.units import Rate
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from tests.support.fakes import FakeBackend, FakeEngine
from tests.support.plans import network, shape

FIVE = Capacity(Rate(5_000_000))


@pytest.fixture(params=["src", "dst"])
def engine(request):
    return FakeEngine(request.param)


@pytest.fixture
def net(engine, tmp_path):
    """Four nodes in two regions."""
    plan = replace(network("full", 4, shape(rate="1mbit")), regions={"eu": (0, 1), "us": (2, 3)})
    with ShapedNetwork(Network.up("net", plan, FakeBackend(engine), LocalRegistry(tmp_path))) as made:
        yield made
    FakeBackend.living.clear()


def test_a_node_s_limits_are_set_and_read_back(net, engine):
    engine.stats = Stats(7, 7000, 2)
    assert net.set_node(2, uplink="5mbit", queue="codel", overhead=24).nodes == (2,)
    held = net.node(2)
    wanted = replace(FIVE, queue=Queue.of("codel"), overhead=24)
    assert (held.uplink.requested, held.uplink.applied, held.uplink.stats) == (wanted, wanted, engine.stats)
    assert (held.downlink.requested, held.downlink.applied, held.downlink.stats) == (None, None, Stats())
    assert net.set_node("0,2", uplink="none").nodes == (2,)
    assert net.node(2).uplink.applied is None
    assert net.set_node(downlink="50mbit").nodes == (0, 1, 2, 3)


def test_a_share_of_a_cpu_is_set_and_read_back(net):
    assert net.set_node("1-2", cpu="25%").nodes == (1, 2)
    held = net.node(2).cpu
    assert (held.requested, held.applied, held.throttled_s) == (CpuShare(250), CpuShare(250), 0.5)
    assert net.set_node(2, cpu="none").nodes == (2,)
    assert net.node(2).cpu.applied is None


def test_trunks_are_set_and_read_back(net):
    assert net.trunks() == {}
    assert net.set_trunk("eu-us", rate="5mbit").trunks == (("eu", "us"), ("us", "eu"))
    assert net.set_trunk("us-eu", one_way=True, rate="none").trunks == (("us", "eu"),)
    ((ways, limit),) = net.trunks().items()
    assert (ways, limit.requested, limit.applied) == (("eu", "us"), FIVE, FIVE)


def test_a_limit_below_the_rate_of_an_edge_is_a_warning(net):
    with pytest.warns(harness.HarnessWarning, match=r"never reach their own rate.*1->0 \(1 Mbit/s; downlink of node 0"):
        net.set_node(0, downlink="500kbit")
    with pytest.warns(harness.HarnessWarning, match="trunk us->eu 1 kbit/s"):
        net.set_trunk("us-eu", one_way=True, rate="1kbit")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net: net.set_node(9, uplink="5mbit"), "no rank 9"),
        (lambda net: net.set_node(2.5, uplink="5mbit"), "ranks=2.5: write a whole number"),
        (lambda net: net.set_node(2), "nothing to set"),
        (
            lambda net: net.set_node(2, uplnk="5mbit"),
            "set_node: there is no 'uplnk'; there are queue, buffer, overhead,",
        ),
        (lambda net: net.set_node(2, uplink=5), "--uplink: '5'"),
        (lambda net: net.set_trunk(("eu", "us"), rate="1mbit"), "trunks=.*: write two regions, e.g. 'eu-us'"),
        (lambda net: net.set_trunk("eu-mars", rate="1mbit"), "no region 'mars'"),
        (lambda net: net.set_trunk("eu-us", uplink="1mbit"), "set_trunk: there is no 'uplink'"),
        (lambda net: net.node(9), "no rank 9"),
        (lambda net: net.node("all"), "rank='all': write a whole number"),
    ],
)
def test_wrong_limits_are_refused_and_change_nothing(net, call, words):
    before = net.plan
    with pytest.raises(InputError, match=words):
        call(net)
    assert net.plan is before


def test_a_node_that_refuses_leaves_all_as_it_was(net, engine):
    before = net.plan
    engine.refuse_caps = {3}
    with pytest.raises(HarnessError, match="node 3: limit it: refused"):
        net.set_node(uplink="5mbit")
    assert net.plan is before
    assert not any(engine.caps.values())


def test_a_network_that_is_down_has_no_limits(net):
    net.down()
    for call in (lambda: net.set_node(2, uplink="5mbit"), lambda: net.node(2), net.trunks):
        with pytest.raises(NetworkStateError, match="is down"):
            call()
