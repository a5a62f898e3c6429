"""Ranges and profiles: draws are reproducible, stay in their ranges, and no corner of them is impossible."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ShapeError, UnitError
from harness.model.capacity_range import CapacityRange
from harness.model.profile import SHAPE_KEYS, Profile
from harness.model.profile_file import SHIPPED_ORDER, load_profile
from harness.model.range import Range
from harness.model.units import Rate, Time

SHIPPED = [load_profile(name) for name in SHIPPED_ORDER]


@given(st.sampled_from(SHIPPED), st.integers(), st.integers(0, 70000), st.integers(0, 70000))
def test_draws_stay_in_their_ranges_both_ways(profile, seed, a, b):
    shape = profile.sample(seed, a, b)
    assert shape == profile.sample(seed, b, a)
    assert profile.delay.low <= shape.delay <= profile.delay.high
    if profile.rate:
        assert profile.rate.low <= shape.rate <= profile.rate.high
        assert shape.rate.bit_s % 8 == 0
    if profile.loss:
        assert profile.loss.low <= shape.loss <= profile.loss.high
    if profile.jitter:
        assert profile.jitter.low.value <= Fraction(shape.jitter.ns, shape.delay.ns) <= profile.jitter.high.value
    assert shape.delay.ns % 1000 == 0


def test_draws_are_pinned():
    """A change here changes every user's networks: do not make it lightly."""
    assert load_profile("wan").sample(0, 0, 1).describe() == (
        "rate 766.687848Mbit delay 24.131ms jitter 2.4131ms loss 0.1%"
    )


def test_draws_depend_on_seed_and_edge_and_spread_evenly():
    wan = load_profile("wan")
    delays = [wan.sample(seed, 0, b).delay for seed, b in itertools.product(range(20), range(1, 51))]
    assert len(set(delays)) > 950
    mean = sum(delay.seconds for delay in delays) / len(delays)
    assert mean == pytest.approx(0.030, abs=4 * 0.04 / 12**0.5 / 1000**0.5)


def test_the_same_edges_are_slow_under_every_profile():
    edges = list(itertools.combinations(range(6), 2))
    orders = {
        tuple(sorted(edges, key=lambda edge: profile.sample(3, *edge).delay.ns))
        for profile in map(load_profile, ["wan", "mobile", "poor"])
    }
    assert len(orders) == 1


def test_a_range_checks_its_order_and_tells_its_values():
    with pytest.raises(UnitError, match="wrong way round"):
        Range(Time(2), Time(1))
    assert str(Range(Time(10**6), Time(2 * 10**6))) == "1ms - 2ms"
    assert str(Range(Time(10**6), Time(10**6))) == "1ms"


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1))
def test_a_range_never_leaves_itself(a, b, quantile):
    low, high = sorted((a, b))
    assert Time(low) <= Range(Time(low), Time(high)).at(quantile) <= Time(high)
    assert Rate(low) <= Range(Rate(low), Rate(high)).at(quantile) <= Rate(high)


def test_profiles_made_in_python_are_checked_at_every_corner():
    with pytest.raises(ShapeError, match="over the delay"):
        Profile("x", delay=Range(Time(10), Time(50)), jitter=Range(Time(5), Time(20)))


def test_every_field_that_shapes_a_link_is_drawn():
    """A field that LinkShape gets and Profile does not would be unreachable for users."""
    assert set(SHAPE_KEYS) <= Profile.__dataclass_fields__.keys()


def test_nodes_draw_by_seed_rank_and_name_alone():
    """Under two profiles the same nodes have the fast lines; of one node, uplink and downlink are drawn apart."""
    ranges = [CapacityRange(Range(Rate(low), Rate(2 * low))) for low in (8 * 10**6, 80 * 10**6)]
    slow, fast = (Profile("x", uplink=one, downlink=one) for one in ranges)
    draws = [[profile.sample_node(7, rank) for rank in range(20)] for profile in (slow, fast)]
    ups = [[shape.uplink.rate.bit_s for shape in shapes] for shapes in draws]
    assert sorted(range(20), key=ups[0].__getitem__) == sorted(range(20), key=ups[1].__getitem__)
    assert len(set(ups[0])) == 20
    assert all(shape.uplink.rate != shape.downlink.rate for shape in draws[0])
    assert slow.sample_node(7, 3) == slow.sample_node(7, 3) != slow.sample_node(8, 3)
