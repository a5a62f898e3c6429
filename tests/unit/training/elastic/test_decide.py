"""The members of the next group, and how long rank 0 waits."""

import pytest

from harness.training.elastic.decide import Patience, Roster, complete, next_roster

PATIENCE = Patience(silent=2, answered=12)
BEFORE = {0: "a", 1: "b", 2: "c"}


@pytest.mark.parametrize(
    ("here", "answered", "waited", "is_complete"),
    [
        ({0, 1, 2}, (), 0.0, True),
        ({0, 1, 2, 3}, (), 0.0, True),
        ({0, 2}, {2}, 1.9, False),
        ({0, 2}, {2}, 2.0, True),
        ({0, 2, 3}, {2}, 1.9, False),
        ({0, 2}, {1, 2}, 2.0, False),
        ({0, 2}, {1, 2}, 11.9, False),
        ({0, 2}, {1, 2}, 12.0, True),
        ({0}, (), 2.0, True),
    ],
)
def test_rank_0_waits_for_those_that_answer(here, answered, waited, is_complete):
    assert complete(BEFORE, here, answered, waited, PATIENCE) is is_complete


@pytest.mark.parametrize(
    ("now", "lost", "joined"),
    [
        ({0: "a", 2: "c"}, (1,), ()),
        ({0: "a", 1: "new", 2: "c"}, (1,), (1,)),
        ({0: "a", 1: "b", 2: "c"}, (), ()),
        ({0: "a", 3: "d"}, (1, 2), (3,)),
    ],
)
def test_a_rank_that_was_started_again_is_another_process(now, lost, joined):
    roster = next_roster(7, BEFORE, now)
    assert (roster.generation, roster.lost, roster.joined, roster.members) == (7, lost, joined, tuple(now))


def test_in_the_first_group_all_join():
    assert next_roster(1, {}, BEFORE) == Roster(1, BEFORE, (), (0, 1, 2))
