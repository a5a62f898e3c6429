"""How long runs still take, from those that have gone on so far."""

import pytest

from harness.experiment.remaining import experiment_remaining, run_remaining


@pytest.mark.parametrize(
    ("step", "elapsed", "limit", "seconds"),
    [
        (0, 0.0, None, None),
        (20, 10.0, None, 40.0),
        (100, 50.0, None, 0.0),
        (20, 10.0, 25.0, 15.0),
        (20, 10.0, 500.0, 40.0),
        (20, 30.0, 25.0, 0.0),
    ],
)
def test_a_run_goes_on_at_its_mean_pace_until_its_last_step_or_its_limit(step, elapsed, limit, seconds):
    assert run_remaining(step, 100, elapsed, limit) == seconds


def test_nothing_is_said_before_anything_is_measured():
    assert experiment_remaining([], 3, None, None) is None
    assert experiment_remaining([], 3, 5.0, None) is None


def test_the_first_run_stands_for_the_others_while_it_goes_on():
    assert experiment_remaining([], 3, 5.0, 15.0) == 3 * 20 + 15


def test_later_the_mean_of_those_that_have_ended_does():
    assert experiment_remaining([10.0, 30.0], 3, None, None) == 60
    assert experiment_remaining([10.0, 30.0], 3, 4.0, 100.0) == 160
    assert experiment_remaining([10.0, 30.0], 3, 4.0, None) == 60 + 16
    assert experiment_remaining([10.0, 30.0], 0, 99.0, None) == 0
