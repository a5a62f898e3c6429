"""Who is told what while nodes come, end and go."""

from hypothesis import given
from hypothesis import strategies as st

from harness.agent.lifecycle import EVERYONE, GONE, Lifecycle

GO, LOST = {"do": "go"}, "lost"


def told(letters, kind):
    return [(to, letter) for to, letter in letters if letter["do"] == kind]


def started(size=3, **options):
    roll = Lifecycle(size, **options)
    for rank in range(size):
        list(roll.call(rank))
    return roll


def test_the_job_begins_when_the_last_node_has_called():
    roll = Lifecycle(3)
    assert list(roll.call(0)) == []
    assert list(roll.call(2)) == []
    assert roll.missing == [1]
    assert list(roll.call(2)) == [], "a node that calls twice is one"
    assert list(roll.call(1)) == [(EVERYONE, GO)]


def test_a_network_of_one_begins_at_once():
    assert list(Lifecycle(1).call(0)) == [(EVERYONE, GO)]


def test_all_ends_when_every_rank_is_done():
    roll = started()
    assert list(roll.done(1, 0)) == []
    assert list(roll.done(0, 0)) == []
    assert list(roll.done(2, 0)) == [(EVERYONE, {"do": "end", "code": 0})]


def test_the_first_failure_stops_the_others_and_its_code_counts():
    roll = started()
    assert list(roll.done(1, 3)) == [(EVERYONE, {"do": "stop", "rank": 1, "code": 3})]
    assert list(roll.done(0, 143)) == []
    assert list(roll.done(2, 143)) == [(EVERYONE, {"do": "end", "code": 3})]


def test_where_a_job_goes_on_a_failure_stops_nobody():
    roll = started(stops=False)
    assert list(roll.done(1, 3)) == []
    assert list(roll.done(0, 0)) == []
    assert list(roll.done(2, 0)) == [(EVERYONE, {"do": "end", "code": 3})]


def test_a_node_that_is_gone_is_told_once_and_counts_as_killed():
    roll = started()
    letters = list(roll.lose(2))
    assert letters == [(EVERYONE, {"do": LOST, "rank": 2}), (EVERYONE, {"do": "stop", "rank": 2, "code": GONE})]
    assert list(roll.lose(2)) == []
    list(roll.done(0, 1))
    assert list(roll.done(1, 1)) == [(EVERYONE, {"do": "end", "code": GONE})]


def test_a_node_that_is_gone_after_its_job_was_done_ends_nothing():
    roll = started()
    list(roll.done(2, 0))
    assert told(roll.lose(2), "stop") == []
    list(roll.done(0, 0))
    assert told(roll.done(1, 0), "end") == [(EVERYONE, {"do": "end", "code": 0})]


def test_a_node_that_comes_back_begins_alone():
    roll = started(stops=False)
    list(roll.lose(1))
    assert roll.gone == [1]
    assert list(roll.call(1)) == [(EVERYONE, {"do": "back", "rank": 1}), (1, GO)]
    assert roll.gone == []
    list(roll.done(0, 0))
    list(roll.done(2, 0))
    assert told(roll.done(1, 0), "end"), "what it was before it was restarted does not count"


def test_a_node_that_comes_back_to_a_job_that_failed_is_told_to_stop():
    roll = started()
    list(roll.done(0, 5))
    assert list(roll.call(1)) == [(1, {"do": "stop", "rank": 0, "code": 5})]


def test_without_a_job_a_node_that_is_lost_before_all_have_called_is_waited_for():
    roll = Lifecycle(2, stops=False)
    list(roll.call(1))
    assert told(roll.lose(1), "stop") == []
    assert list(roll.call(0)) == []
    assert told(roll.call(1), "go") == [(EVERYONE, GO)]


def test_a_job_that_cannot_begin_ends():
    """A node could not shape its links and ended: the others would wait for it for ever."""
    roll = Lifecycle(3)
    list(roll.call(0))
    list(roll.call(1))
    assert told(roll.lose(2), "stop") == [(EVERYONE, {"do": "stop", "rank": 2, "code": GONE})]
    list(roll.done(0, 143))
    assert told(roll.done(1, 143), "end") == [(EVERYONE, {"do": "end", "code": GONE})]


def test_a_node_that_is_restarted_in_a_job_does_not_hold_up_its_end():
    roll = started()
    list(roll.lose(1))
    list(roll.done(0, 70))
    assert told(roll.call(1), "stop") == [(1, {"do": "stop", "rank": 1, "code": GONE})]
    list(roll.done(1, 143))
    assert told(roll.done(2, 70), "end") == [(EVERYONE, {"do": "end", "code": GONE})]


def test_rank_0_that_is_restarted_in_a_job_hears_how_it_went_and_ends():
    again = Lifecycle(3)
    list(again.call(1))
    assert told(again.done(1, 70), "stop")
    list(again.call(0))
    list(again.done(0, 143))
    assert told(again.call(2), "stop")
    assert told(again.done(2, 70), "end") == [(EVERYONE, {"do": "end", "code": 70})]


@given(
    st.lists(st.tuples(st.sampled_from(["call", "done", "lose"]), st.integers(0, 2), st.integers(0, 2)), max_size=40)
)
def test_whatever_happens_the_end_is_told_to_all_once_and_with_the_first_failure(events):
    roll = started()
    ends = []
    for kind, rank, code in events:
        if kind == "done" and (rank in roll.codes or rank in roll.gone):
            continue
        letters = {"call": roll.call, "lose": roll.lose}[kind](rank) if kind != "done" else roll.done(rank, code)
        ends += [letter["code"] for to, letter in letters if letter["do"] == "end" and to == EVERYONE]
    assert ends in ([], [roll.first[1] if roll.first else 0])
