"""Several flows share one rate: time is an argument, so no clock and no kernel is needed."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.address import FRAME
from harness.model.queueing import Queue
from harness.shaping.userspace.bottleneck import UNLIMITED, Bottleneck, Flow
from harness.shaping.userspace.clock import NEVER
from harness.shaping.userspace.disciplines.make import make_discipline

MS = 10**6
SECOND = 10**9
RATE = 12_500_000  # byte/s: 100 Mbit/s


def flow(limit=10**6, kind="droptail"):
    return Flow(make_discipline(Queue.of(kind), limit, RATE, 1))


def packet(number, size=FRAME):
    return (0, number, size, b"", 0, b"")


def fill(bottleneck, flows, at=0):
    """Give each flow packets of one size: {flow: (how many, bytes)}; flow by flow, all at one time."""
    for one, (count, size) in flows.items():
        for number in range(1, count + 1):
            bottleneck.arrive(at, one, packet(number, size))


def jain(shares):
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


ARRIVALS = st.lists(
    st.tuples(st.integers(0, 3 * MS), st.integers(0, 2), st.integers(42, 3 * FRAME)), min_size=1, max_size=80
)
"""Gap to the one before (ns), whose it is, and bytes."""


@given(ARRIVALS, st.integers(10_000, 10**9), st.sampled_from([0, 24, -14]))
def test_it_works_whenever_there_is_work_and_at_the_rate_to_the_byte(arrivals, rate, overhead):
    """Each busy period begins when a packet comes, and sends its bytes in bytes / rate, without gap or drift."""
    one, flows, at, number = Bottleneck(rate, overhead), [flow(10**9) for _ in range(3)], 0, 0
    begun = free = counted = 0
    for gap, whose, size in arrivals:
        at, number = at + gap, number + 1
        if at >= free:
            begun, counted = at, 0
        counted += max(1, size + overhead * -(-size // FRAME))
        free = begun + counted * SECOND // rate
        one.arrive(at, flows[whose], packet(number, size))
    left = one.release(NEVER - 1)
    assert left[-1][0] == free
    assert sorted(each[1] for _, _, each in left) == list(range(1, number + 1))
    assert (one.backlog_bytes, one.backlog_packets, one.next) == (0, 0, NEVER)


@given(ARRIVALS, st.lists(st.integers(0, 300 * MS), max_size=20))
def test_what_leaves_when_does_not_depend_on_who_looks_when(arrivals, looks):
    def departures(looks):
        one, flows, at, found = Bottleneck(RATE // 10), [flow(20 * FRAME) for _ in range(3)], 0, []
        looks = sorted(looks)
        for number, (gap, whose, size) in enumerate(arrivals):
            at += gap
            while looks and looks[0] < at:
                found += one.release(looks.pop(0))
            one.arrive(at, flows[whose], packet(number, size))
        found += one.release(NEVER - 1)
        return [(leaves, each[1]) for leaves, _, each in found], [each[1] for _, each in one.dropped]

    assert departures(looks) == departures([])


@given(ARRIVALS)
def test_a_flow_keeps_its_order(arrivals):
    one, flows, at = Bottleneck(RATE // 100), [flow(10**9) for _ in range(3)], 0
    for number, (gap, whose, size) in enumerate(arrivals):
        at += gap
        one.arrive(at, flows[whose], packet(number, size))
    left = one.release(NEVER - 1)
    assert all(a[0] <= b[0] for a, b in pairwise(left))
    for each in flows:
        numbers = [p[1] for _, whose, p in left if whose is each]
        assert numbers == sorted(numbers)


@given(ARRIVALS, st.integers(FRAME, 20 * FRAME))
def test_a_flow_has_no_more_waiting_than_it_may_and_every_packet_is_sent_or_dropped(arrivals, limit):
    one, flows, at = Bottleneck(RATE // 100), [flow(limit) for _ in range(3)], 0
    for number, (gap, whose, size) in enumerate(arrivals):
        at += gap
        one.arrive(at, flows[whose], packet(number, size))
        assert all(each.queue.bytes <= max(limit, 3 * FRAME) for each in flows)  # one packet always fits
    left = one.release(NEVER - 1)
    assert len(left) + len(one.dropped) == len(arrivals)
    assert (one.backlog_bytes, one.backlog_packets) == (0, 0)


@pytest.mark.parametrize(
    "sizes", [(FRAME, FRAME, FRAME), (FRAME, 100, 700), (42, 9014, FRAME), (64_000, FRAME, 60)], ids=str
)
def test_flows_that_always_have_something_get_equal_bytes_whatever_their_packets_size(sizes):
    one = Bottleneck(RATE)
    flows = {flow(10**9): (3_000_000 // size, size) for size in sizes}
    fill(one, flows)
    got = Counter()
    for _, whose, each in one.release(SECOND // 10 * 5):
        got[whose] += each[2]
    assert sum(got.values()) == pytest.approx(RATE / 2, abs=max(sizes))
    assert jain([got[each] for each in flows]) > 0.999


def test_a_flow_with_one_packet_at_a_time_is_not_passed_over_for_one_that_always_has_some():
    one, busy, window = Bottleneck(RATE), flow(10**9), flow()
    fill(one, {busy: (1000, FRAME)})
    one.arrive(0, window, packet(1))
    got = Counter()
    while sum(got.values()) < 400:
        for leaves, whose, _ in one.release(one.next):
            got[whose] += 1
            if whose is window:
                one.arrive(leaves, window, packet(1))
    assert jain(list(got.values())) > 0.99


def test_a_small_packet_waits_for_a_round_and_not_for_the_queues_of_others():
    one, bulk, small = Bottleneck(RATE), [flow(10**9) for _ in range(3)], flow()
    fill(one, dict.fromkeys(bulk, (500, FRAME)))
    one.arrive(MS, small, packet(1, 60))
    left = next(leaves for leaves, whose, _ in one.release(NEVER - 1) if whose is small)
    round_ns = 4 * FRAME * SECOND // RATE
    assert left - MS <= 2 * round_ns


def test_no_credit_for_being_idle_and_one_flow_alone_gets_all():
    one, alone = Bottleneck(1_000_000), flow()
    one.arrive(0, alone, packet(1, 1000))
    one.arrive(500 * MS, alone, packet(2, 1000))
    one.arrive(500 * MS, alone, packet(3, 1000))
    assert [leaves for leaves, _, _ in one.release(NEVER - 1)] == [MS, 501 * MS, 502 * MS]


def test_nothing_drifts():
    """Three bytes a microsecond, so that no packet takes whole nanoseconds: the sum is exact nevertheless."""
    one, alone = Bottleneck(3_000_000), flow(10**9)
    fill(one, {alone: (30_000, 100)})
    assert one.release(NEVER - 1)[-1][0] == SECOND


def test_nothing_leaves_early():
    one, alone = Bottleneck(1_000_000), flow()
    one.arrive(0, alone, packet(1, 1000))
    assert one.next == MS
    assert one.release(MS - 1) == []
    assert (one.backlog_bytes, one.backlog_packets) == (1000, 1)
    assert len(one.release(MS)) == 1


def test_what_is_dropped_is_told_and_does_not_count_as_waiting():
    one, tight = Bottleneck(1_000_000), flow(2000)
    fill(one, {tight: (5, 1000)})
    assert [(whose is tight, each[1]) for whose, each in one.dropped] == [(True, 4), (True, 5)]
    assert (one.backlog_bytes, one.backlog_packets) == (3000, 3)  # one is being sent, two wait


def test_a_queue_that_drops_at_its_head_drops_as_of_when_the_packet_would_have_been_sent():
    """CoDel at 1 Mbit/s: a standing queue of more than 5 ms for 100 ms; also where nobody looks for a second."""
    one, standing = Bottleneck(125_000), flow(10**6, "codel")
    fill(one, {standing: (80, FRAME)})
    left = one.release(NEVER - 1)
    assert 0 < len(one.dropped) < 20
    assert len(left) + len(one.dropped) == 80
    assert left[-1][0] == sum(each[2] for _, _, each in left) * SECOND // 125_000


@pytest.mark.parametrize(("rate", "factor"), [(2_000_000, 0.5), (500_000, 2)], ids=["faster", "slower"])
def test_another_rate_holds_for_what_waits_and_for_the_rest_of_what_is_being_sent(rate, factor):
    one, alone = Bottleneck(1_000_000), flow()
    fill(one, {alone: (4, 1000)})
    assert len(one.release(MS + MS // 2)) == 1
    one.change(rate, 0, MS + MS // 2)
    left = [leaves for leaves, _, _ in one.release(NEVER - 1)]
    first = MS + MS // 2 + int(MS // 2 * factor)
    assert left == [first, first + int(MS * factor), first + int(2 * MS * factor)]


def test_without_a_limit_all_that_waits_leaves_at_once():
    one, alone = Bottleneck(1_000_000), flow()
    fill(one, {alone: (4, 1000)})
    one.change(UNLIMITED, 0, MS // 2)
    assert [leaves for leaves, _, _ in one.release(MS // 2)] == [MS // 2] * 4
    assert one.next == NEVER


def test_overhead_counts_for_every_frame_of_a_super_packet():
    one, alone = Bottleneck(1_000_000, overhead=24), flow()
    one.arrive(0, alone, packet(1, 976))
    one.arrive(0, alone, packet(2, 10 * FRAME))
    assert [leaves for leaves, _, _ in one.release(NEVER - 1)] == [MS, MS + 10 * (FRAME + 24) * 1000]
