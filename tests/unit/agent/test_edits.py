"""The newest change of each edge and node counts, in whatever order changes come."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.agent.edits import Edits, LimitEdit, edited_plan, edits_message, fingerprint
from harness.model.capacity import Capacity, NodeShape
from harness.model.delivery import Delivery, counts_of
from harness.model.link import LinkShape
from harness.model.units import Rate, Time
from tests.support.plans import SHAPES, network

PLAN = network("ring", 3)


def changed(pair, ms):
    edge = PLAN.edges[pair]
    return replace(edge, shape=edge.shape.changed(delay=Time(ms * 10**6)))


def limited(rank, mbit):
    return LimitEdit(rank, NodeShape(uplink=Capacity(Rate(mbit * 10**6))))


def told(*changes):
    return json.loads(json.dumps(edits_message(changes)))


def test_the_newest_is_taken_and_the_older_is_not():
    edits = Edits()
    assert edits.merge(told((5, changed((0, 1), 20)))) == [changed((0, 1), 20)]
    assert edits.merge(told((4, changed((0, 1), 10)))) == []
    assert edits.merge(told((5, changed((0, 1), 20)))) == [], "the same again is nothing new"
    assert edits.merge(told((6, changed((0, 1), 30)), (1, changed((1, 0), 7)))) == [
        changed((0, 1), 30),
        changed((1, 0), 7),
    ]
    assert edits.merge(told((2, limited(1, 5)), (1, limited(1, 6)))) == [limited(1, 5)]


def test_what_is_older_than_what_is_known_can_be_told():
    edits = Edits()
    edits.merge(told((5, changed((0, 1), 20)), (5, limited(0, 20))))
    assert edits.newer(told((4, changed((0, 1), 30)), (4, limited(0, 1)))) == [changed((0, 1), 30), limited(0, 1)]
    assert edits.newer(told((5, changed((0, 1), 30)), (1, changed((1, 0), 30)), (6, limited(0, 1)))) == []


def test_only_news_are_passed_on():
    edits = Edits()
    edits.merge(told((5, changed((0, 1), 20)), (5, limited(0, 20))))
    assert edits.fresh(told((5, changed((0, 1), 20)), (4, limited(0, 1)))) == {}
    assert edits.fresh(told((5, changed((0, 1), 20)), (6, limited(0, 1)))) == told((6, limited(0, 1)))
    assert edits.fresh(told((1, changed((1, 0), 2)), (5, limited(0, 20)))) == told((1, changed((1, 0), 2)))


def test_what_was_taken_can_be_passed_on_as_a_whole_or_in_part():
    edits = Edits()
    edits.merge(told((5, changed((0, 1), 20)), (6, changed((1, 2), 9)), (7, limited(2, 5))))
    other = Edits()
    assert other.merge(edits.to_json([changed((0, 1), 1), changed((2, 0), 1)])) == [changed((0, 1), 20)]
    assert other.merge(edits.to_json()) == [changed((1, 2), 9), limited(2, 5)]
    assert other.fingerprint == edits.fingerprint


def test_a_message_of_a_command_that_knows_no_limits_of_nodes_is_read():
    assert Edits().merge({"do": "edits", "edits": [{"at": 1, "edge": changed((0, 1), 2).to_json()}]})


def test_changes_make_another_plan():
    plan = edited_plan(PLAN, [changed((0, 1), 20), limited(2, 5)])
    assert plan.edges[0, 1] == changed((0, 1), 20)
    assert plan.node_shape(2) == limited(2, 5).shape
    assert edited_plan(plan, [LimitEdit(2, NodeShape())]).nodes == {}


ANY = st.one_of(
    st.builds(changed, st.sampled_from([(0, 1), (1, 0), (1, 2)]), st.integers(1, 50)),
    st.builds(limited, st.integers(0, 2), st.integers(1, 50)),
)


@given(st.lists(ANY, max_size=12), st.randoms())
def test_two_nodes_agree_whatever_the_order(changes, random):
    messages = [told(change) for change in enumerate(changes)]
    one, other = Edits(), Edits()
    for message in messages:
        one.merge(message)
    shuffled = list(messages)
    random.shuffle(shuffled)
    for message in shuffled:
        other.merge(message)
    assert one.fingerprint == other.fingerprint
    assert edited_plan(PLAN, one.merge(other.to_json())) == PLAN, "nothing is news to the other"
    assert other.merge(one.to_json()) == []


def test_a_plan_that_came_as_json_has_the_fingerprint_of_the_agents_own():
    """Otherwise it would be fetched again and again."""
    plan = network("islands", 6, SHAPES["everything"])
    assert fingerprint(plan.to_json()) == fingerprint(json.loads(json.dumps(plan.to_json())))
    other = plan.changed([replace(plan.edge(0, 1), down=True)])
    assert fingerprint(other.to_json()) != fingerprint(plan.to_json())
    merged = [
        other.edge(0, 1).to_json() if (one["src"], one["dst"]) == (0, 1) else one for one in plan.to_json()["edges"]
    ]
    assert fingerprint({**plan.to_json(), "edges": merged}) == fingerprint(other.to_json())


def test_a_change_brings_the_trace_of_its_link(monkeypatch):
    trace = Delivery.of("a.up", bytes([1, 0, 5]))
    edge = replace(PLAN.edges[0, 1], shape=LinkShape(delivery=trace))
    sent = told((1, edge), (1, replace(edge, src=1, dst=0)))
    assert list(sent["deliveries"]) == [trace.digest]
    monkeypatch.setattr("harness.model.delivery._traces", {})
    counts_of.cache_clear()
    assert Edits().merge(sent)[0] == edge
    assert counts_of(trace.digest) == bytes([1, 0, 5])
