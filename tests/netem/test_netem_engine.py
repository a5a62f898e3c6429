"""The engines' contract, on the kernel, and what only a kernel can refuse."""

import pytest
from pyroute2 import IPRoute

from harness.errors import NodeError
from harness.shaping.netem import NetemEngine
from tests.support.engine_suite import every_pair_in_turn
from tests.support.namespace_node import NamespaceNode, RealEngineSuite, returning
from tests.support.plans import SHAPES, network, shape

pytestmark = [pytest.mark.netem, pytest.mark.namespaces]


@pytest.fixture
def make():
    with returning():
        yield lambda plan: NamespaceNode(NetemEngine())


UNLIKE = ["unshaped", "everything", "chain", "bucket", "codel", "fq_codel", "red", "pie"]
"""One of every kind of qdisc and of loss that a branch of the tree has."""


class TestNetemEngine(RealEngineSuite):
    @pytest.mark.full
    def test_every_shape_becomes_every_other_in_place(self, make):
        super().test_every_shape_becomes_every_other_in_place(make)

    def test_every_shape_becomes_those_that_are_least_like_it_in_place_and_they_it(self, make):
        """All 400 pairs take 40 s here; every attribute is always sent."""
        others = [name for name in SHAPES if name not in UNLIKE]
        back_and_forth = (name for other in others for one in [*UNLIKE[:3], "codel"] for name in (one, other))
        self.check_walk(make, [*every_pair_in_turn(UNLIKE), *back_and_forth])


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
