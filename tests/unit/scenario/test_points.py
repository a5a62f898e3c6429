"""The points of a trace with scaled rates and an offset."""

from fractions import Fraction

import pytest

from harness.errors import InputError
from harness.scenario.points import begun_later, scaled

POINTS = [(0.0, {"rate": "5Mbit", "delay": "40ms"}), (1.0, {"rate": "6Mbit"}), (2.0, {"delay": "50ms"})]


def values_at(points, period, seconds):
    """The values at a moment of the loop."""
    held = {}
    for lap in range(int(seconds // period) + 1):
        for at, texts in points:
            if lap * period + at <= seconds:
                held |= texts
    return held


def test_scale_multiplies_rates_only():
    assert scaled(POINTS, Fraction(1, 2)) == [
        (0.0, {"rate": "2.5Mbit", "delay": "40ms"}),
        (1.0, {"rate": "3Mbit"}),
        (2.0, {"delay": "50ms"}),
    ]
    assert scaled([(0.0, {"rate": "8bit"})], Fraction(1, 2)) == [(0.0, {"rate": "8bit"})]
    with pytest.raises(InputError, match="scale multiplies rates, and this trace has none"):
        scaled([(0.0, {"delay": "1ms"})], Fraction(2))


def test_an_offset_begins_with_the_values_that_hold_there():
    assert begun_later(POINTS, 3.0, 1.5, loop=False) == [
        (0.0, {"rate": "6Mbit", "delay": "40ms"}),
        (0.5, {"delay": "50ms"}),
    ]
    assert begun_later([(1.0, {"rate": "6Mbit"})], 3.0, 0.25, loop=False) == [(0.75, {"rate": "6Mbit"})]
    with pytest.raises(InputError, match="offset 3 s is past the end of the trace, which lasts 3 s"):
        begun_later(POINTS, 3.0, 3.0, loop=False)


@pytest.mark.parametrize("offset", [0.5, 1.0, 2.5, 3.0, 7.5])
def test_an_offset_into_a_loop_shifts_the_loop(offset):
    later = begun_later(POINTS, 3.0, offset, loop=True)
    assert [at for at, _ in later] == sorted(at for at, _ in later)
    for moment in (0.0, 0.4, 1.1, 2.9, 4.0, 8.2):
        assert values_at(later, 3.0, moment) == values_at(POINTS, 3.0, moment + offset + 3.0)
