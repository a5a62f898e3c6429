"""Which changes an agent applies, and which it passes on."""

from dataclasses import replace

import pytest

from harness.agent.changes import Changes
from harness.agent.edits import Edits, LimitEdit, edits_message
from harness.errors import NodeError
from harness.model.capacity import Capacity, NodeShape
from harness.model.status import NodeStatus
from harness.model.units import Rate, Time
from tests.support.plans import network, shape

PLAN = network("ring", 4, shape(delay="1ms"))
LIMITED = NodeShape(uplink=Capacity(Rate(50 * 10**9)))


class Links:
    """Rank 1's links, in memory."""

    rank = 1

    def __init__(self):
        self.plan, self.engine, self.applied = PLAN, self, []

    def enforced_at(self, pair):
        return pair[1]

    def apply(self, touched=()):
        self.applied.append((self.plan.node_shape(self.rank), set(touched)))
        return NodeStatus({})


@pytest.fixture
def links():
    return Links()


@pytest.fixture
def changes(links):
    return Changes(links, Edits())


def slower(pair):
    return replace(PLAN.edges[pair], shape=PLAN.edges[pair].shape.changed(delay=Time(2 * 10**6)))


def test_only_what_is_about_this_node_is_applied_and_all_is_known(links, changes):
    changes.merge({"do": "edits", **edits_message([(1, slower((1, 2))), (1, slower((3, 0)))])})
    assert links.applied == []
    changes.merge({"do": "edits", **edits_message([(1, slower((0, 1)))])})
    assert links.applied == [(NodeShape(), {0})]
    changes.merge({"do": "edits", **edits_message([(1, LimitEdit(2, LIMITED))])})
    assert len(links.applied) == 1
    assert links.plan.nodes == {2: LIMITED}
    changes.merge({"do": "edits", **edits_message([(1, LimitEdit(1, LIMITED))])})
    assert links.applied[1:] == [(LIMITED, set())]


def test_the_first_limit_that_makes_super_packets_smaller_reaches_every_node(links, changes):
    changes.merge({"do": "edits", **edits_message([(1, LimitEdit(3, NodeShape(downlink=Capacity(Rate(10**6)))))])})
    assert links.applied == [(NodeShape(), set())]


def test_a_command_is_answered_and_its_limits_are_news_for_the_others(links, changes):
    told = edits_message([(5, LimitEdit(1, LIMITED))])
    status, news = changes.command({"do": "apply", **told, "touched": []})
    assert status == NodeStatus({})
    assert news == {"do": "edits", **told}
    assert links.applied == [(LIMITED, set())]


def test_an_older_command_is_refused(links, changes):
    changes.merge({"do": "edits", **edits_message([(5, LimitEdit(2, LIMITED))])})
    older = edits_message([(4, LimitEdit(2, NodeShape()))])
    with pytest.raises(NodeError, match=r"reshape the limits of node 2: another command .* \(harness node show\)"):
        changes.command({"do": "apply", **older, "touched": []})
    assert links.plan.nodes == {2: LIMITED}
