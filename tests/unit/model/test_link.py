"""Link shapes: contradictions are refused, JSON goes there and back."""

import json
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.errors import ShapeError
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import MAX_JITTER, UNSHAPED, LinkShape
from harness.model.queueing import Queue
from harness.model.units import Rate, Ratio, Size, Time
from tests.support.plans import BLACKHOLE

MS = 10**6
ratios = st.integers(0, 10**8).map(lambda n: Ratio(Fraction(n, 10**8)))


def percent(value):
    return Ratio.parse(f"{value}%")


@st.composite
def shapes(draw):
    delay = draw(st.integers(0, 100 * 10**9))
    rate = draw(st.none() | st.integers(8, 10**12).map(Rate))
    burst = draw(st.none() | st.integers(1, min(2**31, 274 * rate.bit_s // 8)).map(Size)) if rate else None
    p, r = draw(ratios), draw(ratios)
    lossy = draw(st.booleans())
    loss = draw(ratios) if lossy else Ratio(Fraction(0))
    correlation = draw(ratios) if loss else Ratio(Fraction(0))
    assume(correlation.value < 1)
    return LinkShape(
        rate=rate,
        delay=Time(delay),
        jitter=Time(draw(st.integers(0, min(delay, MAX_JITTER.ns)))),
        distribution=draw(st.sampled_from(["uniform", "normal", "pareto", "paretonormal"])),
        loss=loss,
        loss_correlation=correlation,
        gilbert_elliott=GilbertElliott(p, r, draw(ratios), draw(ratios)) if not loss and (p or r) else None,
        duplicate=draw(ratios),
        corrupt=draw(ratios),
        reorder=draw(ratios) if delay else Ratio(Fraction(0)),
        limit=draw(st.none() | st.integers(1, 2**31 - 1)),
        burst=burst,
        queue=draw(st.none() | st.integers(0, 10**10).map(Time)) if burst else None,
    )


@given(shapes())
def test_json_there_and_back(shape):
    assert LinkShape.from_json(json.loads(json.dumps(shape.to_json()))) == shape


@given(shapes())
def test_a_description_is_one_line(shape):
    assert "\n" not in shape.describe()
    assert shape.describe()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"delay": Time(5 * MS), "jitter": Time(6 * MS)}, "jitter 6ms is over the delay 5ms"),
        ({"delay": Time(5000 * MS), "jitter": Time(3000 * MS)}, "jitter 3s is over 2.147483647s"),
        ({"delay": Time(-1)}, "cannot be negative"),
        ({"delay": Time(276 * 10**9)}, "over 275s"),
        ({"distribution": "flat"}, "one of uniform, normal, pareto, paretonormal"),
        ({"loss": percent(1), "gilbert_elliott": GilbertElliott(percent(1), percent(9))}, "not both"),
        ({"loss_correlation": percent(10)}, "needs loss"),
        ({"loss": percent(1), "loss_correlation": percent(100)}, "under 100%"),
        ({"reorder": percent(1)}, "needs a delay"),
        ({"limit": 0}, "not between 1 and"),
        ({"burst": Size(1600)}, "burst needs a rate"),
        ({"burst": Size(0), "rate": Rate(800)}, "no packet pass"),
        ({"burst": Size(2**31 + 1), "rate": Rate(10**12)}, "is over 2GiB, the most that tbf takes"),
        ({"burst": Size(65536), "rate": Rate(1000)}, "burst 64KiB takes over 274s at 1kbit"),
        ({"buffer": Time(MS)}, "buffer needs a rate"),
        ({"queue": Queue.of("codel")}, "queue needs a rate"),
        ({"overhead": 24}, "overhead needs a rate"),
        ({"buffer": Time(MS), "rate": Rate(800), "limit": 9}, "give limit or buffer, not both"),
    ],
)
def test_contradictions_are_refused(fields, words):
    with pytest.raises(ShapeError) as caught:
        LinkShape(**fields)
    assert words in str(caught.value)


def test_a_chain_that_never_moves_is_refused():
    with pytest.raises(ShapeError, match="never changes"):
        GilbertElliott(percent(0), percent(0))


def test_changed_is_checked_too():
    with pytest.raises(ShapeError, match="over the delay"):
        LinkShape(delay=Time(5 * MS), jitter=Time(5 * MS)).changed(delay=Time(MS))


@given(ratios, st.integers(0, 10**8 - 1))
def test_a_correlated_loss_keeps_mean_and_correlation(loss, correlation):
    chain = GilbertElliott.from_correlation(loss, Ratio(Fraction(correlation, 10**8)))
    assert chain.mean_loss == pytest.approx(float(loss))
    assert chain.correlation == pytest.approx(correlation / 10**8, abs=1e-12)


def test_mean_loss_and_chain():
    chain = GilbertElliott(percent(1), percent(9), loss_bad=percent(50), loss_good=percent(10))
    assert LinkShape(gilbert_elliott=chain).mean_loss == pytest.approx(0.1 * 0.5 + 0.9 * 0.1)
    assert LinkShape(gilbert_elliott=chain).loss_chain is chain
    assert LinkShape(loss=percent(1)).loss_chain is None
    assert LinkShape(loss=percent(1), loss_correlation=percent(25)).loss_chain == GilbertElliott.from_correlation(
        percent(1), percent(25)
    )


def test_unshaped_and_blackhole():
    assert UNSHAPED.is_unshaped
    assert UNSHAPED.describe() == "unshaped"
    assert LinkShape(distribution="normal").is_unshaped
    assert BLACKHOLE.mean_loss == 1
    assert not BLACKHOLE.is_unshaped
