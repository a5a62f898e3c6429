"""Which peers count as gone, by the test's clock."""

from hypothesis import given
from hypothesis import strategies as st

from harness.agent.silence import BEAT_SECONDS, Silence

LIMIT = 6.0


def test_who_says_nothing_for_the_limit_is_gone_once():
    silence = Silence(LIMIT)
    silence.heard(2)
    found = {second: silence.gone(second) for second in range(20)}
    assert {second: ranks for second, ranks in found.items() if ranks} == {6: [2]}


def test_who_was_never_heard_or_is_forgotten_is_not_missed():
    silence = Silence(LIMIT)
    silence.heard(1)
    silence.forget(1)
    silence.forget(3)
    assert not any(silence.gone(second) for second in range(60))


def test_who_was_held_up_itself_misses_nobody():
    """A machine that is frozen for a minute reads the others' messages only afterwards."""
    silence = Silence(LIMIT)
    silence.heard(1)
    assert silence.gone(0.0) == []
    assert silence.gone(60.0) == []
    silence.heard(1)
    assert [silence.gone(60.0 + second) for second in range(1, 7)] == [[]] * 5 + [[1]]


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=60))
def test_silence_is_never_longer_than_the_time_since_the_last_word(steps):
    silence, now, last = Silence(LIMIT), 0.0, 0.0
    silence.heard(1)
    silence.gone(now)
    for passed, heard in steps:
        now += passed
        if silence.gone(now):
            assert now - last >= LIMIT - 1e-9
            return
        if heard:
            silence.heard(1)
            last = now
    assert now - last < LIMIT + sum(max(0.0, passed - 1.5 * BEAT_SECONDS) for passed, _ in steps)
