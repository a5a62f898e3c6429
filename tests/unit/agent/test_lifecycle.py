"""Which messages nodes get while others start, end and go."""

from hypothesis import example, given
from hypothesis import strategies as st

from harness.agent.lifecycle import EVERYONE, GONE, Lifecycle

GO, LOST = {"do": "go"}, "lost"


def told(messages, kind):
    return [(to, message) for to, message in messages if message["do"] == kind]


def started(size=3, **options):
    lifecycle = Lifecycle(size, **options)
    for rank in range(size):
        list(lifecycle.call(rank))
    return lifecycle


def test_the_job_begins_when_the_last_node_has_called():
    lifecycle = Lifecycle(3)
    assert list(lifecycle.call(0)) == []
    assert list(lifecycle.call(2)) == []
    assert lifecycle.missing == [1]
    assert list(lifecycle.call(2)) == [], "a node that calls twice is one"
    assert list(lifecycle.call(1)) == [(EVERYONE, GO)]


def test_a_network_of_one_begins_at_once():
    assert list(Lifecycle(1).call(0)) == [(EVERYONE, GO)]


def test_all_ends_when_every_rank_is_done():
    lifecycle = started()
    assert list(lifecycle.done(1, 0)) == []
    assert list(lifecycle.done(0, 0)) == []
    assert list(lifecycle.done(2, 0)) == [(EVERYONE, {"do": "end", "code": 0})]


def test_the_first_failure_stops_the_others_and_its_code_counts():
    lifecycle = started()
    assert list(lifecycle.done(1, 3)) == [(EVERYONE, {"do": "stop", "rank": 1, "code": 3})]
    assert list(lifecycle.done(0, 143)) == []
    assert list(lifecycle.done(2, 143)) == [(EVERYONE, {"do": "end", "code": 3})]


def test_where_a_job_goes_on_a_failure_stops_nobody():
    lifecycle = started(stops=False)
    assert list(lifecycle.done(1, 3)) == []
    assert list(lifecycle.done(0, 0)) == []
    assert list(lifecycle.done(2, 0)) == [(EVERYONE, {"do": "end", "code": 3})]


def test_a_node_that_is_gone_is_told_once_and_counts_as_killed():
    lifecycle = started()
    messages = list(lifecycle.lose(2))
    assert messages == [(EVERYONE, {"do": LOST, "rank": 2}), (EVERYONE, {"do": "stop", "rank": 2, "code": GONE})]
    assert list(lifecycle.lose(2)) == []
    list(lifecycle.done(0, 1))
    assert list(lifecycle.done(1, 1)) == [(EVERYONE, {"do": "end", "code": GONE})]


def test_a_node_that_is_gone_after_its_job_was_done_ends_nothing():
    lifecycle = started()
    list(lifecycle.done(2, 0))
    assert told(lifecycle.lose(2), "stop") == []
    list(lifecycle.done(0, 0))
    assert told(lifecycle.done(1, 0), "end") == [(EVERYONE, {"do": "end", "code": 0})]


def test_a_node_that_comes_back_begins_alone():
    lifecycle = started(stops=False)
    list(lifecycle.lose(1))
    assert lifecycle.gone == [1]
    assert list(lifecycle.call(1)) == [(EVERYONE, {"do": "back", "rank": 1}), (1, GO)]
    assert lifecycle.gone == []
    list(lifecycle.done(0, 0))
    list(lifecycle.done(2, 0))
    assert told(lifecycle.done(1, 0), "end"), "what it was before it was restarted does not count"


def test_a_node_that_comes_back_to_a_job_that_failed_is_told_to_stop():
    lifecycle = started()
    list(lifecycle.done(0, 5))
    assert list(lifecycle.call(1)) == [(1, {"do": "stop", "rank": 0, "code": 5})]


def test_without_a_job_a_node_that_is_lost_before_all_have_called_is_waited_for():
    lifecycle = Lifecycle(2, stops=False)
    list(lifecycle.call(1))
    assert told(lifecycle.lose(1), "stop") == []
    assert list(lifecycle.call(0)) == []
    assert told(lifecycle.call(1), "go") == [(EVERYONE, GO)]


def test_a_job_that_cannot_begin_ends():
    """A node could not shape its links and ended: the others would wait for it for ever."""
    lifecycle = Lifecycle(3)
    list(lifecycle.call(0))
    list(lifecycle.call(1))
    assert told(lifecycle.lose(2), "stop") == [(EVERYONE, {"do": "stop", "rank": 2, "code": GONE})]
    list(lifecycle.done(0, 143))
    assert told(lifecycle.done(1, 143), "end") == [(EVERYONE, {"do": "end", "code": GONE})]


def test_a_node_that_is_restarted_in_a_job_does_not_hold_up_its_end():
    lifecycle = started()
    list(lifecycle.lose(1))
    list(lifecycle.done(0, 70))
    assert told(lifecycle.call(1), "stop") == [(1, {"do": "stop", "rank": 1, "code": GONE})]
    list(lifecycle.done(1, 143))
    assert told(lifecycle.done(2, 70), "end") == [(EVERYONE, {"do": "end", "code": GONE})]


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
@example([("done", 0, 0), ("done", 1, 0), ("done", 2, 0), ("call", 0, 0), ("done", 0, 1)])
def test_whatever_happens_the_end_is_told_to_all_once_and_with_the_first_failure(events):
    lifecycle = started()
    ends = []
    for kind, rank, code in events:
        if kind == "done" and (rank in lifecycle.codes or rank in lifecycle.gone):
            continue
        messages = (
            {"call": lifecycle.call, "lose": lifecycle.lose}[kind](rank)
            if kind != "done"
            else lifecycle.done(rank, code)
        )
        ends += [message["code"] for to, message in messages if message["do"] == "end" and to == EVERYONE]
    assert ends in ([], [lifecycle.first[1] if lifecycle.first else 0])


def test_a_job_that_a_scenario_kills_is_no_failure_and_is_waited_for():
    lifecycle = started()
    assert list(lifecycle.away(2, True)) == []
    assert list(lifecycle.done(1, 0)) == []
    assert list(lifecycle.away(2, False)) == []
    assert list(lifecycle.done(0, 0)) == []
    assert list(lifecycle.done(2, 0)) == [(EVERYONE, {"do": "end", "code": 0})]


def test_a_job_that_stays_away_is_not_waited_for():
    lifecycle = started()
    list(lifecycle.away(2, True))
    list(lifecycle.done(1, 0))
    assert list(lifecycle.done(0, 0)) == [(EVERYONE, {"do": "end", "code": 0})]


def test_where_all_are_away_nothing_is_over():
    lifecycle = started(2)
    assert list(lifecycle.away(0, True)) == list(lifecycle.away(1, True)) == []
    list(lifecycle.away(0, False))
    assert list(lifecycle.done(0, 0)) == [(EVERYONE, {"do": "end", "code": 0})]


def test_a_node_that_comes_anew_is_no_longer_away():
    lifecycle = started(2)
    list(lifecycle.away(1, True))
    list(lifecycle.call(1))
    assert list(lifecycle.done(0, 0)) == []
