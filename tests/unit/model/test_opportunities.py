"""When a trace lets how much pass, held against a simulation that goes through its opportunities one by one."""

from fractions import Fraction
from itertools import count, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.delivery import Delivery
from harness.model.opportunities import MS, NEVER, Opportunities

BEGUN = 7 * MS
COUNTS = st.lists(st.integers(0, 3), min_size=2, max_size=12).filter(any).map(bytes)
OPTIONS = st.fixed_dictionaries(
    {
        "loop": st.sampled_from(["yes", "no"]),
        "offset": st.sampled_from(["0ms", "1ms", "1.5ms", "700us"]),
        "speed": st.sampled_from(["1", "2", "0.3", "7"]),
        "scale": st.sampled_from(["1", "50%", "3", "0.7"]),
    }
)
PACKETS = st.lists(st.tuples(st.integers(0, 5 * MS), st.integers(1, 4000)), min_size=1, max_size=20)


def played(counts, **options):
    return Delivery.of("a.up", counts).played(options)


def started(counts, **options):
    return Opportunities(played(counts, **options), counts, BEGUN)


def one_by_one(counts, delivery):
    """(time in ns after it began, bytes) of every opportunity, exact."""
    for slot in count() if delivery.loop else range(len(counts)):
        at = Fraction((slot + 1) * MS - delivery.offset.ns) / delivery.speed
        if at > 0:
            yield from [(at, delivery.per_opportunity)] * counts[slot % len(counts)]


@settings(deadline=None, max_examples=300)
@given(COUNTS, OPTIONS, PACKETS)
def test_packets_leave_as_opportunities_come(counts, options, packets):
    delivery = played(counts, **options)
    found = Opportunities(delivery, counts, BEGUN)
    source = one_by_one(counts, delivery)
    at, left, came, free = Fraction(0), Fraction(0), 0, Fraction(0)
    for gap, size in packets:
        came += gap
        wants = max(Fraction(came), free)  # first in line from then on
        if left and at < wants:
            left = Fraction(0)
        need = Fraction(size)
        while need > left:
            need -= left
            at, left = next(source, (None, None))
            while at is not None and at < wants:
                at, left = next(source, (None, None))
            if at is None:
                break
        leaves = found.deliver(BEGUN + int(-(-wants // 1)), size)
        if at is None:
            assert leaves == NEVER
            return
        left -= need
        free = at
        assert 0 <= leaves - BEGUN - at < 1


@settings(deadline=None, max_examples=200)
@given(COUNTS, OPTIONS, st.integers(0, 90 * MS), st.integers(0, 90 * MS))
def test_bytes_of_a_span_are_those_of_its_opportunities(counts, options, begin, lasts):
    delivery, end = played(counts, **options), begin + lasts
    found = Opportunities(delivery, counts, BEGUN).bytes_between(BEGUN + begin, BEGUN + end)
    until_then = takewhile(lambda one: one[0] <= end, one_by_one(counts, delivery))
    assert found == sum(size for at, size in until_then if at > begin)


def test_several_small_packets_share_one_and_the_rest_of_it_is_lost():
    one = started(bytes([1, 1]))
    assert [one.deliver(BEGUN, 500) for _ in range(4)] == [BEGUN + MS] * 3 + [BEGUN + 2 * MS]
    assert one.deliver(BEGUN + 5 * MS + 1, 500) == BEGUN + 6 * MS
    assert one.deliver(BEGUN + 6 * MS, 1004) == BEGUN + 6 * MS
    assert one.deliver(BEGUN + 6 * MS, 1) == BEGUN + 7 * MS


def test_a_trace_begins_again_where_it_ends():
    one = started(bytes([0, 0, 1]))
    assert [one.deliver(BEGUN, 1504) - BEGUN for _ in range(3)] == [3 * MS, 6 * MS, 9 * MS]


def test_without_a_loop_nothing_passes_after_the_end():
    one = started(bytes([1, 1]), loop="no")
    assert one.deliver(BEGUN, 1504) == BEGUN + MS
    assert one.deliver(BEGUN + 2 * MS + 1, 1) == NEVER
    assert one.deliver(BEGUN + 9 * MS, 1) == NEVER


@pytest.mark.parametrize(("options", "first"), [({"offset": "2ms"}, 1), ({"speed": "3"}, 1), ({}, 3)])
def test_offset_and_speed_bring_the_first_one_nearer(options, first):
    assert started(bytes([0, 0, 3]), **options).deliver(BEGUN, 1) == BEGUN + first * MS


def test_scale_and_speed_leave_each_other_alone():
    for speed in ("1", "4"):
        one = started(bytes([1] * 10), speed=speed, scale="2")
        assert one.bytes_between(BEGUN, BEGUN + 1000 * MS) == 2 * 1504 * 1000


def test_an_idle_link_is_not_gone_through_slot_by_slot():
    one = started(bytes([1]))
    assert one.deliver(BEGUN + 10**18, 1504) == BEGUN + 10**18
