"""The engines' contract, on the kernel, and what only a kernel can refuse."""

import pytest
from pyroute2 import IPRoute

from harness.errors import NodeError
from harness.shaping.netem import NetemEngine
from tests.support.namespace_node import NamespaceNode, RealEngineSuite, returning
from tests.support.plans import network, shape

pytestmark = [pytest.mark.netem, pytest.mark.namespaces]


@pytest.fixture
def make():
    with returning():
        yield lambda plan: NamespaceNode(NetemEngine())


class TestNetemEngine(RealEngineSuite):
    pass


def test_what_somebody_else_has_changed_is_read_again_and_set_right(make):
    """Otherwise what was read back after the last change is what there is."""
    plan = network("star", 3, shape(delay="10ms"))
    node = make(plan)
    assert not node.apply(plan).mismatches
    own = NetemEngine().observe(plan.node(0))
    slow = network("star", 3, shape(delay="30ms"))
    NetemEngine().apply(slow.node(0))
    assert node.observe(plan).mismatches
    NetemEngine().apply(slow.node(0))
    assert node.apply(plan).edges == own.edges, "nothing of it was touched"


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
