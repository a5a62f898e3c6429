"""CoDel against RFC 8289."""

from itertools import pairwise
from math import sqrt

import pytest

from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.codel import Codel
from harness.shaping.userspace.packet import CE, ecn
from tests.unit.shaping.userspace.disciplines.simulation import FRAME, MS, header, packet, run, standing

ECT = header(bits=2)


def made(text="codel", limit=10**9):
    return Codel(Queue.parse(text), limit)


def overload(one, head=b"", until=3000):
    """Two packets come every ms, one is sent every ms: (times of drops, times of marks), ms."""
    dropped, marks = [], []
    for now in range(until):
        for number in (1, 2):
            one.enqueue(now * MS, packet(2 * now + number, head=head))
        sent, gone = one.dequeue(now * MS)
        dropped += [now] * len(gone)
        marks += [now] * (sent is not None and ecn(sent[5]) == CE)
    return dropped, marks


@pytest.mark.parametrize(("target", "interval"), [(5, 100), (20, 300)])
@pytest.mark.parametrize("asks", [True, False])
def test_the_control_law(target, interval, asks):
    """What is sent at t ms came at t // 2, so it waits for the target from 2 x target - 1 on; drops begin later."""
    dropped, marks = overload(made(f"codel,target={target}ms,interval={interval}ms"), ECT if asks else b"")
    times, others = (marks, dropped) if asks else (dropped, marks)
    assert not others
    assert times[0] == 2 * target - 1 + interval
    wanted = times[0]
    for count, (before, after) in enumerate(pairwise(times[:40]), 1):
        wanted += interval / sqrt(count)
        assert wanted - 1 <= after <= wanted + 1.5, (count, before, after)


def test_without_ecn_packets_that_ask_for_it_are_dropped():
    dropped, marks = overload(made("codel,ecn=no"), ECT)
    assert dropped
    assert not marks


def test_a_short_wait_is_never_dropped():
    one = made()
    for now in range(0, 10_000, 4):
        for number in range(4):
            assert not one.enqueue(now * MS, packet(now + number))
        for step in range(4):
            assert not one.dequeue((now + step) * MS)[1]


def test_the_last_full_frame_is_not_dropped_however_slow_the_rate():
    """At 12 kbit/s a frame takes a second, which is no standing queue (section 4.2: an MTU's worth)."""
    one = made()
    for now in range(0, 100_000, 1000):
        one.enqueue(now * MS, packet(now))
        if one.packets == 2:
            assert not one.dequeue(now * MS)[1]


def test_a_gap_ends_the_interval():
    one = made()
    for round_ in range(20):
        start = 200 * round_
        for number in range(100):
            one.enqueue(start * MS, packet(number))
        for step in range(90):
            assert not one.dequeue((start + step) * MS)[1]
        while one.packets:
            assert not one.dequeue((start + 95) * MS)[1]
        assert one.dequeue((start + 100) * MS) == (None, ())


def test_a_queue_that_stands_again_soon_is_dropped_as_often_as_before():
    """Section 4.3: count goes on where dropping ended less than 16 intervals ago."""

    def second_gap(pause):
        one = made()
        first, _ = overload(one, until=1500)
        while one.packets:
            one.dequeue(1500 * MS)
        start, times = 1500 + pause, []
        for now in range(start, start + 1000):
            for number in (1, 2):
                one.enqueue(now * MS, packet(number))
            times += [now] * len(one.dequeue(now * MS)[1])
        assert len(first) > 40
        return times[1] - times[0]

    assert second_gap(100) < 20
    assert second_gap(5000) == 100


def test_the_buffer_bounds_it():
    one = made(limit=10 * FRAME)
    assert sum(len(one.enqueue(0, packet(number))) for number in range(1, 16)) == 5


@pytest.mark.parametrize("asks", [False, True])
def test_tcp_does_not_make_a_standing_queue(asks):
    """10 Mbit/s and a round trip of 40 ms behind a buffer of two seconds."""
    (flow,), _ = run("codel", 2_500_000, ecn_flows=asks)
    assert standing(flow.sojourns) < 15
    assert flow.delivered > 0.85 * 20 * 1_250_000 / FRAME
    assert bool(flow.marked) == asks
    assert bool(flow.dropped) != asks
