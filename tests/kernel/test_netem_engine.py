"""The engines' contract, on the kernel, and what only a kernel can refuse."""

import os

import pytest
from pyroute2 import IPRoute

from harness.engine.netem import NetemEngine
from harness.errors import NodeError
from harness.linux.syscalls import CLONE_NEWNET, setns, unshare
from tests.support.engine_suite import EngineSuite
from tests.support.plans import network, shape

pytestmark = [pytest.mark.netem, pytest.mark.namespaces]


class KernelNode:
    """Rank 0 of a plan, in a network namespace that this process is in now."""

    def __init__(self, plan):
        unshare(CLONE_NEWNET)
        with IPRoute() as ip:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})

    def apply(self, plan, touched=()):
        return NetemEngine().apply(plan.node(0), touched)

    def observe(self, plan):
        return NetemEngine().observe(plan.node(0))


@pytest.fixture
def make():
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    yield KernelNode
    setns(home, CLONE_NEWNET)
    os.close(home)


class TestNetemEngine(EngineSuite):
    pass


def test_a_refusal_names_node_action_and_cause(make):
    plan = network("star", 3, shape(delay="1ms"))
    node = make(plan)
    with IPRoute() as ip:  # somebody else's tree
        ip.tc("add", "htb", ip.link_lookup(ifname="eth0")[0], handle=0x70000, default=0)
    with pytest.raises(NodeError, match="node 0: add the htb root: "):
        node.apply(plan)


def test_duplication_works_or_is_refused_by_name(make):
    plan = network("star", 3, shape(delay="1ms", duplicate="1%"))
    answer = outcome(make(plan), plan)
    if isinstance(answer, NodeError):  # kernels that allow no duplicating netem beside others
        answer = f"{answer}"
        assert "0->" in answer
        assert "harness doctor" in answer
    else:
        assert float(answer.edges[0, 1].applied.duplicate) == pytest.approx(0.01)


def outcome(node, plan):
    try:
        return node.apply(plan)
    except NodeError as error:
        return error


def test_no_interface_is_one_clear_error(make):
    plan = network("line", 2, shape(delay="1ms"))
    node = make(plan)
    with IPRoute() as ip:
        ip.link("del", ifname="eth0")
    with pytest.raises(NodeError, match="eth0"):
        node.apply(plan)
