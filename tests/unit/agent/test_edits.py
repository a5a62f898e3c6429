"""Of each edge the newest change counts, whoever brings it and in whatever order."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.agent.edits import Edits, edit, fingerprint
from harness.model.units import Time
from tests.support.plans import SHAPES, network

PLAN = network("ring", 3)


def changed(pair, ms):
    edge = PLAN.edges[pair]
    return replace(edge, shape=edge.shape.changed(delay=Time(ms * 10**6)))


def test_the_newest_is_taken_and_the_older_is_not():
    edits = Edits()
    assert edits.merge([edit(changed((0, 1), 20), 5)]) == [changed((0, 1), 20)]
    assert edits.merge([edit(changed((0, 1), 10), 4)]) == []
    assert edits.merge([edit(changed((0, 1), 20), 5)]) == [], "the same again is nothing new"
    assert edits.merge([edit(changed((0, 1), 30), 6), edit(changed((1, 0), 7), 1)]) == [
        changed((0, 1), 30),
        changed((1, 0), 7),
    ]


def test_what_is_older_than_what_is_known_can_be_told():
    edits = Edits()
    edits.merge([edit(changed((0, 1), 20), 5)])
    assert edits.newer([edit(changed((0, 1), 30), 4)]) == [changed((0, 1), 30)]
    assert edits.newer([edit(changed((0, 1), 30), 5), edit(changed((1, 0), 30), 1)]) == []


def test_what_was_taken_can_be_passed_on_as_a_whole_or_in_part():
    edits = Edits()
    edits.merge([edit(changed((0, 1), 20), 5), edit(changed((1, 2), 9), 6)])
    other = Edits()
    assert other.merge(edits.to_json([(0, 1), (2, 0)])) == [changed((0, 1), 20)]
    assert other.merge(edits.to_json()) == [changed((1, 2), 9)]


@given(st.lists(st.tuples(st.sampled_from([(0, 1), (1, 0), (1, 2)]), st.integers(1, 50)), max_size=12), st.randoms())
def test_two_nodes_agree_whatever_the_order(changes, random):
    messages = [edit(changed(pair, ms), at) for at, (pair, ms) in enumerate(changes)]
    one, other = Edits(), Edits()
    one.merge(messages)
    shuffled = list(messages)
    random.shuffle(shuffled)
    for message in shuffled:
        other.merge([message])

    def by_edge(edits):
        return sorted(edits.to_json(), key=lambda e: (e["edge"]["src"], e["edge"]["dst"]))

    assert by_edge(one) == by_edge(other)


def test_a_plan_that_came_as_json_has_the_fingerprint_of_the_agents_own():
    """Else it would be fetched again and again."""
    plan = network("islands", 6, SHAPES["everything"])
    assert fingerprint(plan.to_json()) == fingerprint(json.loads(json.dumps(plan.to_json())))
    other = plan.changed([replace(plan.edge(0, 1), down=True)])
    assert fingerprint(other.to_json()) != fingerprint(plan.to_json())
    merged = [
        other.edge(0, 1).to_json() if (one["src"], one["dst"]) == (0, 1) else one for one in plan.to_json()["edges"]
    ]
    assert fingerprint({**plan.to_json(), "edges": merged}) == fingerprint(other.to_json())
