"""Clock offsets between two machines, for messages of any delay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.clocks import ClockExchange, clock_ahead

DELAYS = st.floats(0, 2)


def exchange(at, there, thinking, back, ahead):
    """The time stamps of an exchange when the other's clock is that far ahead."""
    received = at + there
    return ClockExchange(at, received + ahead, received + thinking + ahead, received + thinking + back)


@given(
    st.lists(st.tuples(DELAYS, DELAYS, DELAYS), min_size=1, max_size=20),
    st.floats(-86_400, 86_400),
    st.floats(0, 2e9),
)
def test_the_true_offset_is_within_the_uncertainty_however_long_messages_take(delays, ahead, epoch):
    found, uncertainty = clock_ahead([exchange(epoch + i, *one, ahead) for i, one in enumerate(delays)])
    assert abs(found - ahead) <= uncertainty + 2e-6  # a double has 0.2 us of today's epoch
    assert uncertainty <= min(there + back for there, _, back in delays) / 2 + 2e-6


def test_of_several_the_quickest_counts_and_the_time_to_answer_does_not():
    slow, quick = exchange(100, 0.5, 0, 0.001, 3.0), exchange(101, 0.0002, 0.9, 0.0004, 3.0)
    assert quick.round_trip == pytest.approx(0.0006)
    assert clock_ahead([slow, quick]) == pytest.approx((2.9999, 0.0003))
