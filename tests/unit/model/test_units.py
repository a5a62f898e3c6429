"""Quantities: exact there and back, ordered, and nothing but UnitError for nonsense."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UnitError
from harness.model.units import Rate, Ratio, Size, Time, parse_duration

KINDS = [Rate, Time, Ratio, Size]
ratios = st.integers(0, 10**12).map(lambda n: Ratio(Fraction(n, 10**12)))


@pytest.mark.parametrize(
    ("text", "bit_s"),
    [
        ("80mbit", 80 * 10**6),
        ("80Mbit/s", 80 * 10**6),
        ("10MB/s", 80 * 10**6),
        ("10 mb/s", 10 * 10**6),
        ("10MB/S", 80 * 10**6),
        ("100Mbit/sec", 10**8),
        ("10MB/sec", 80 * 10**6),
        ("10Mb/sec", 10**7),
        ("1Gibit", 2**30),
        ("0.1MB/s", 800_000),
        ("1e3kbits", 10**6),
        (" 8bit ", 8),
    ],
)
def test_rate(text, bit_s):
    assert Rate.parse(text) == Rate(bit_s)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("80ms", 80_000_000),
        ("1.5s", 1_500_000_000),
        ("250us", 250_000),
        ("1 µs", 1000),
        ("0", 0),
        ("100msec", 10**8),
        ("2secs", 2 * 10**9),
        ("5 usec", 5000),
        ("1Sec", 10**9),
    ],
)
def test_time(text, ns):
    assert Time.parse(text) == Time(ns)


@pytest.mark.parametrize(("text", "share"), [("1%", "1/100"), ("0.05%", "1/2000"), ("100%", "1"), ("0", "0")])
def test_ratio(text, share):
    assert Ratio.parse(text) == Ratio(Fraction(share))


@pytest.mark.parametrize(("text", "size"), [("1500B", 1500), ("64KiB", 65536), ("10MB", 10**7), ("1500", 1500)])
def test_size(text, size):
    assert Size.parse(text) == Size(size)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (Rate, "80", "it has no unit"),
        (Rate, "10bps", "bytes to tc and bits to most people"),
        (Rate, "10Mbps", "bytes to tc"),
        (Rate, "1e3kbps ", "bytes to tc"),
        (Rate, "0", "at least 8 bit/s"),
        (Rate, "0mbit", "at least 8 bit/s"),
        (Rate, "-1mbit", "cannot be negative"),
        (Rate, "8.5bit", "finer than 1 bit/s"),
        (Rate, "1e25Gbit", "too small for a rate"),
        (Rate, "10MB", "unknown unit 'MB'"),
        (Rate, "1K\u0130bit", "unknown unit"),
        (Time, "50", "'50' is not a time: it has no unit; write e.g. 80ms, 1.5s or 250us"),
        (Time, "5min", "unknown unit 'min'"),
        (Time, "-5ms", "cannot be negative"),
        (Time, "0.5ns", "finer than 1 ns"),
        (Time, "1e400ms", "too small for a time"),
        (Time, "ms", "is not a time"),
        (Time, "", "is not a time"),
        (Time, "nan", "is not a time"),
        (Time, "9" * 500 + "ms", "...' is not a time"),
        (Ratio, "101%", "not between 0% and 100%"),
        (Ratio, "-1%", "not between 0% and 100%"),
        (Ratio, "0.5", "write a percentage"),
        (Size, "5 apples", "unknown unit 'apples'"),
        (Size, "0.5B", "finer than 1 byte"),
    ],
)
def test_refused(kind, text, words):
    with pytest.raises(UnitError) as caught:
        kind.parse(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_ratio_outside_is_refused():
    with pytest.raises(UnitError, match="not between"):
        Ratio(Fraction(3, 2))


@given(st.integers(8, 2**62).map(Rate))
def test_rate_there_and_back(rate):
    assert Rate.parse(str(rate)) == rate


@given(st.integers(0, 2**62).map(Time))
def test_time_there_and_back(time):
    assert Time.parse(str(time)) == time


@given(ratios)
def test_ratio_there_and_back(ratio):
    assert Ratio.parse(str(ratio)) == ratio


@given(st.integers(0, 2**62).map(Size))
def test_size_there_and_back(size):
    assert Size.parse(str(size)) == size


def test_a_ratio_without_a_short_decimal_is_told_to_six_digits():
    assert str(Ratio(Fraction(1, 3))) == "33.3333%"


@given(st.integers(0, 2**32 - 1))
def test_the_kernel_scale_there_and_back(raw):
    assert Ratio.from_u32(raw).u32 == raw


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_larger_text_is_larger(a, b):
    assert (Time.parse(f"{a}us") < Time.parse(f"{b}us")) == (a < b)
    assert (Rate.parse(f"{a + 8}bit") < Rate.parse(f"{b + 8}bit")) == (a < b)
    assert (Size.parse(f"{a}B") < Size.parse(f"{b}B")) == (a < b)


@given(ratios, ratios)
def test_the_kernel_scale_keeps_order(a, b):
    assert a > b or a.u32 <= b.u32


garbage = st.one_of(
    st.text(),
    st.from_regex(
        r"[-+]?[0-9.eE]*\s*[kKmMgGtT]?[iI\u0130\u0131]?([bB]it|[bB]/[s\u017f]|ms|%|[bB]|bps)?", fullmatch=True
    ),
    st.text("0123456789.e+-%kmgtibs/ "),
)


@given(st.sampled_from(KINDS), garbage)
def test_garbage_raises_nothing_but_unit_errors(kind, text):
    told = ""
    try:
        kind.parse(text)
    except UnitError as error:
        told = str(error)
    assert "\n" not in told


def test_bytes_and_seconds():
    assert Rate.parse("10MB/s").byte_s == 10**7
    assert Rate(8).seconds(1) == 1
    assert Time.from_seconds(0.25) == Time.parse("250ms")
    assert str(Time(1) + Time(2)) == "3ns"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("2min", 120), ("1.5h", 5400), ("1d", 86400)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "0s", "-1s", "long", "5 weeks", "inf", "nans", "9" * 99 + "s"])
def test_what_is_no_duration(text):
    with pytest.raises(UnitError, match=r"write e\.g\. 90s, 10min or 1\.5h"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "-5s"])
def test_a_time_to_wait_is_more_than_nothing(text):
    with pytest.raises(UnitError, match=f"'{text}': the time must be more than 0"):
        parse_duration(text)
