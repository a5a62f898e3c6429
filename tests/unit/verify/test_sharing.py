"""What flows that share capacity should get, and what they got together."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.verify.samples import BulkSample
from harness.verify.sharing import fair_shares, jain, together
from harness.verify.stats import bulk_rate

MANY = st.lists(st.floats(1, 100), min_size=1, max_size=6)


def test_equal_flows_share_equally():
    assert fair_shares(dict.fromkeys("abc", inf), [({"a", "b", "c"}, 30.0)]) == dict.fromkeys("abc", 10.0)


def test_what_a_slow_flow_leaves_goes_to_the_others():
    assert fair_shares({"a": 4.0, "b": inf, "c": inf}, [({"a", "b", "c"}, 30.0)]) == {"a": 4, "b": 13, "c": 13}


def test_several_capacities_on_one_way():
    """The example of the textbook: a and b share 4, of which b's other capacity allows 1 beside c."""
    shares = fair_shares(dict.fromkeys("abc", inf), [({"a", "b"}, 4.0), ({"b", "c"}, 2.0)])
    assert shares == {"a": 3.0, "b": 1.0, "c": 1.0}


@given(MANY, st.floats(1, 300))
def test_no_more_than_is_there_and_nobody_more_than_alone(alone, rate):
    flows = dict(enumerate(alone))
    shares = fair_shares(flows, [(set(flows), rate)])
    assert sum(shares.values()) == pytest.approx(min(rate, sum(alone)))
    assert all(shares[flow] <= flows[flow] * (1 + 1e-9) for flow in flows)


def test_jains_index():
    """Of n flows it is 1 where all have the same, k/n where k share and the others have nothing."""
    assert jain([5, 5, 5]) == pytest.approx(1)
    assert jain([1, 0, 0, 0]) == pytest.approx(0.25)
    assert jain([2, 2, 0, 0]) == pytest.approx(0.5)
    assert jain([0, 0]) == 0


def train(start, end, byte_s, count=200):
    points = tuple((start + (end - start) * n / count, round(byte_s * (end - start) * n / count)) for n in range(count))
    return BulkSample(10**6, 2.0, points[-1][1], points, ends=(points[0], points[-1]))


def test_flows_are_added_over_the_time_in_which_all_arrive():
    found, rates = together([train(0, 2, 1000), train(0.5, 1.5, 3000)], 0.3)
    assert bulk_rate(found).bit_s == pytest.approx(32_000, rel=0.01)
    assert rates == pytest.approx([8000, 24_000], rel=0.02)
    assert found.points[0][0] == 0.5
    assert found.points[-1][0] == pytest.approx(1.5, abs=0.01)
    assert (found.sent_bytes, found.sent_s, found.busiest_cpu) == (2 * 10**6, 2.0, 0.3)


def test_a_flow_of_which_nothing_arrived_has_got_nothing():
    found, rates = together([train(0, 2, 1000), BulkSample(10**6, 2.0, 0, ())], 0)
    assert rates == [pytest.approx(8000, rel=0.01), 0]
    assert bulk_rate(found).bit_s == pytest.approx(8000, rel=0.01)


def test_flows_that_never_arrive_at_the_same_time_say_nothing():
    assert together([train(0, 1, 1000), train(2, 3, 1000)], 0) is None
    assert together([BulkSample(10**6, 2.0, 0, ())] * 2, 0) is None
