"""harness.model.format: three significant digits and a unit."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.capacity import Capacity
from harness.model.format import (
    NOTHING,
    count,
    format_capacity,
    format_distinct,
    format_factor,
    format_number,
    format_range,
    format_rate,
    format_shape,
    format_share,
    format_size,
    format_time,
    format_value,
)
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import UNSHAPED, LinkShape
from harness.model.queueing import Queue
from harness.model.units import Rate, Ratio, Size, Time


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.012345, "0.0123"), (1.0, "1"), (1.236, "1.24"), (12.0, "12"), (99.96, "100"), (999.6, "1000"),
        (123.4, "123"), (1234.5, "1234"), (-1.5, "-1.5"), (1e-9, "0.000000001"), (math.inf, "∞"), (math.nan, "?"),
        (-math.inf, "-∞"),
    ],
)  # fmt: skip
def test_numbers(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (766_687_848.0, "767 Mbit/s"), (Rate(766_687_848), "767 Mbit/s"), (999_600, "1 Mbit/s"),
        (999_400, "999 kbit/s"),
        (8, "8 bit/s"), (1e9, "1 Gbit/s"), (1.1e12, "1.1 Tbit/s"), (0, "0 bit/s"), (None, NOTHING),
        (math.inf, "∞ Tbit/s"),
    ],
)  # fmt: skip
def test_rates(value, text):
    assert format_rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.024131, "24.1 ms"), (Time(24_131_000), "24.1 ms"), (Time(0), "0 s"), (2.29, "2.29 s"), (0.9996, "1 s"),
        (0.00085, "850 µs"), (1e-9, "1 ns"), (4e-10, "0.4 ns"), (59.94, "59.9 s"), (59.96, "1 min"), (90, "1 min 30 s"),
        (7530, "2 h 5 min"), (3600, "1 h"), (-0.5, "-500 ms"), (None, NOTHING), (math.inf, "∞ s"),
    ],
)  # fmt: skip
def test_times(value, text):
    assert format_time(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.001, "0.1 %"),
        (Ratio(Fraction(1, 1000)), "0.1 %"),
        (0.123456, "12.3 %"),
        (1, "100 %"),
        (0, "0 %"),
        (None, "–"),
    ],
)
def test_shares(value, text):
    assert format_share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_040_400, "1.04 MB"), (1500, "1.5 kB"), (12, "12 B"), (65536, "65.5 kB"), (Size(65536), "64 KiB"),
        (Size(1_040_400), "1.04 MB"), (Size(1), "1 B"), (None, NOTHING),
    ],
)  # fmt: skip
def test_sizes(value, text):
    assert format_size(value) == text


def test_other_values():
    assert format_factor(1.236) == "1.24 ×"
    assert format_factor(None) == format_value(None) == NOTHING
    assert [format_value(value) for value in (Rate(8000), Time(1000), Ratio(Fraction(1, 2)), Size(5), 7, "pareto")] == [
        "8 kbit/s", "1 µs", "50 %", "5 B", "7", "pareto",
    ]  # fmt: skip
    assert (count(1, "node"), count(0, "node")) == ("1 node", "0 nodes")


def test_ranges():
    assert format_range(Time(10_000_000), Time(50_000_000)) == "10 – 50 ms"
    assert format_range(Rate(80_000_000), Rate(2_000_000_000)) == "80 Mbit/s – 2 Gbit/s"
    assert format_range(Rate(80_000_000), Rate(80_000_000)) == "80 Mbit/s"
    assert format_range(90.0, 150.0, format_time) == "1 min 30 s – 2 min 30 s"
    assert format_range(Time(0), Time(10_000_000)) == "0 – 10 ms"
    assert format_range(100, 200) == "100 – 200"


def test_a_shape():
    assert format_shape(UNSHAPED) == "unshaped"
    shape = LinkShape(
        rate=Rate(766_687_848), delay=Time(24_131_000), jitter=Time(2_413_100), distribution="normal",
        gilbert_elliott=GilbertElliott(Ratio.parse("1%"), Ratio.parse("25%")), limit=100, burst=Size(65536),
    )  # fmt: skip
    assert format_shape(shape) == (
        "rate 767 Mbit/s, delay 24.1 ms, jitter 2.41 ms, distribution normal, "
        "gilbert_elliott (p 1 %, r 25 %, loss_bad 100 %, loss_good 0 %), limit 100, burst 64 KiB"
    )
    assert "distribution" not in format_shape(LinkShape(distribution="pareto"))


def test_values_that_differ_read_differently():
    assert format_distinct(format_time, [0.024131, 0.024131]) == ["24.1 ms", "24.1 ms"]
    assert format_distinct(format_time, [0.024131, 0.024139, None]) == ["24.13 ms", "24.14 ms", NOTHING]
    shapes = [LinkShape(delay=Time(24_131_000)), LinkShape(delay=Time(24_132_000))]
    assert format_distinct(format_shape, shapes) == ["delay 24.131 ms", "delay 24.132 ms"]


@given(st.floats(min_value=1e-8, max_value=1e14))
def test_every_rate_has_at_most_three_significant_digits_or_is_whole(value):
    number, unit = format_rate(value).split(" ")
    assert unit.endswith("bit/s")
    assert len(number.replace(".", "").strip("0")) <= 3 or float(number) >= 1000
    scale = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3}.get(unit[0], 1)
    assert float(number) * scale == pytest.approx(value, rel=0.0051)


def test_a_capacity_says_what_is_not_as_by_default():
    assert format_capacity(None) == "–"
    assert format_capacity(Capacity(Rate(20_000_000))) == "20 Mbit/s"
    busy = Capacity(Rate(20_000_000), Queue.of("codel"), Time(100_000_000), 24)
    assert format_capacity(busy) == "20 Mbit/s, queue codel, buffer 100 ms, overhead 24"
