"""How often a node is sampled."""

import pytest

from harness.sampling.pace import INTERVAL, SHARE, Pace


def samples(cost, seconds, share=SHARE):
    """The moments of samples of that cost."""
    pace, now, moments = Pace(share), 1000.0, []
    while now < 1000.0 + seconds:
        moments.append(now)
        now = pace.next(now, cost)
    return moments


def test_ten_times_a_second_where_that_is_cheap():
    moments = samples(0.9 * SHARE * INTERVAL, 10)
    assert len(moments) == pytest.approx(100, abs=2)


@pytest.mark.parametrize("cost", [0.0021, 0.004, 0.02, 0.1])
def test_no_more_than_its_share_of_a_core(cost):
    moments = samples(cost, 600)
    assert cost * len(moments) / 600 == pytest.approx(SHARE, rel=0.1)


def test_one_sample_that_took_long_does_not_slow_it_down_for_long():
    pace = Pace(SHARE)
    now = pace.next(1000.0, 0.0005)
    now = pace.next(now, 0.02)
    for _ in range(30):
        before, now = now, pace.next(now, 0.0005)
    assert now - before == pytest.approx(INTERVAL)


def test_nodes_that_sample_themselves_do_it_at_the_same_moments():
    one, other = Pace(SHARE), Pace(SHARE)
    assert one.next(1000.013, 0.001) == other.next(1000.087, 0.0005) == pytest.approx(1000.1)


def test_moments_are_the_same_for_nodes_that_cannot_take_all_of_them():
    slow, fast = ({round(at, 4) for at in samples(cost, 30)} for cost in (0.0047, 0.0001))
    assert len(slow) < len(fast) / 2
    assert slow < fast


def test_after_a_pause_there_is_nothing_to_catch_up_with():
    pace = Pace(SHARE)
    pace.next(1000.0, 0.0001)
    assert pace.next(1060.03, 0.0001) == pytest.approx(1060.1)


def test_a_clock_that_is_set_back_stops_nothing():
    pace = Pace(SHARE)
    pace.next(1000.0, 0.0001)
    assert pace.next(500.0, 0.0001) == pytest.approx(500.1, abs=0.11)
