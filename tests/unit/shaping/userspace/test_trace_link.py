"""A link queue that serves a packet-delivery trace."""

import json

import pytest

from harness.model.delivery import Delivery
from harness.model.link import LinkShape
from harness.model.node_plan import PlannedEdge, Port
from harness.model.queueing import Queue
from harness.model.units import Rate, Size, Time
from harness.shaping.qdisc_diff import differences
from harness.shaping.shape_branch import branch_of, shape_of
from harness.shaping.userspace import control
from harness.shaping.userspace.clock import NEVER
from harness.shaping.userspace.counters import DROPPED
from harness.shaping.userspace.link_queue import LinkQueue
from tests.unit.shaping.userspace.test_link_queue import MS, left, times

EVERY_MS, EVERY_5_MS = Delivery.of("ms.up", bytes([1])), Delivery.of("5.up", bytes([0, 0, 0, 0, 1]))
IDS = range(1, 9)


def branch(**shape):
    return branch_of(Port(PlannedEdge(0, 1, LinkShape(**shape)), 1, (1,)), 3)


def traced(delivery=EVERY_5_MS, **shape):
    return LinkQueue(7, branch(delivery=delivery, **shape), [0, 0, 0])


def arrive(one, ids=IDS, at=0, length=1500):
    return [one.arrive(at, number, length, b"", []) for number in ids]


def test_a_full_packet_leaves_with_each_opportunity():
    one = traced()
    arrive(one)
    assert left(one, 4 * MS) == []
    for slot in (1, 2, 3):
        assert one.next == slot * 5 * MS
        assert left(one, slot * 5 * MS) == [slot]


def test_small_packets_share_one():
    one = traced()
    arrive(one, range(1, 31), length=96)
    assert left(one, 5 * MS) == [15]  # one verdict for all up to it: 15 of 100 bytes


def test_the_delay_comes_first():
    one = traced(delay=Time(7 * MS))
    arrive(one, [1])
    left(one, 7 * MS)
    assert one.next == 10 * MS


def test_nothing_is_saved_up_while_no_packet_waits():
    one = traced(EVERY_MS)
    assert times(one, 4, 10 * MS, 1500) == [0] * 4  # each comes as the millisecond begins
    assert times(traced(EVERY_MS), 4, 10 * MS + 1, 1500) == [MS - 1, MS - 2, MS - 3, MS - 4]


def test_what_finds_no_room_is_dropped():
    one = traced(buffer=Size(4 * 1514))
    assert sum(arrive(one)) == 8  # dropped when it comes out of the delay
    left(one, 1)
    assert one.counters[DROPPED] == 4
    assert one.queued == 4


def test_the_room_is_that_of_the_highest_rate():
    assert branch(delivery=EVERY_MS).buffer_bytes == 12_032_000 // 8 // 20
    assert branch(delivery=EVERY_MS, delay=Time(100 * MS)).buffer_bytes == 12_032_000 // 8 // 5
    assert branch(delivery=EVERY_MS, buffer=Time(10 * MS)).buffer_bytes == 15_040


def test_it_begins_when_the_queue_does_and_goes_on_through_other_changes():
    one = LinkQueue(7, branch(delivery=EVERY_5_MS), [0, 0, 0], 3 * MS)
    assert one.begun == 3 * MS
    arrive(one, at=3 * MS)
    one.configure(branch(delivery=EVERY_5_MS, buffer=Size(10**6), loss=LinkShape().loss), 4 * MS)
    assert one.next == 8 * MS


def test_another_trace_holds_for_what_waits():
    one = traced()
    arrive(one)
    left(one, 5 * MS)
    one.configure(branch(delivery=EVERY_MS), 6 * MS)
    assert one.next == 7 * MS
    assert left(one) == [8]


@pytest.mark.parametrize("after", [{}, {"rate": Rate(10**9)}, {"rate": Rate(10**9), "buffer": Size(10**6)}])
def test_without_the_trace_all_that_waits_goes_on(after):
    one = traced()
    arrive(one)
    left(one, 5 * MS)
    one.configure(branch(**after), 6 * MS)
    assert left(one, 7 * MS) == [8]
    assert one.counters == [8, 8 * 1514, 0]


@pytest.mark.parametrize("before", [{"rate": Rate(10**6)}, {"rate": Rate(10**6), "buffer": Size(10**6)}])
def test_what_waits_for_a_rate_waits_for_the_trace(before):
    one = LinkQueue(7, branch(**before), [0, 0, 0])
    arrive(one)
    left(one, MS)
    one.configure(branch(delivery=EVERY_5_MS), 2 * MS)
    assert left(one, 40 * MS) != []
    assert one.queued in (0, 1)  # the eighth waits: the trace began at 2 ms
    assert one.counters[DROPPED] == 0


def test_after_the_end_of_a_trace_that_does_not_loop_nothing_passes():
    one = traced(Delivery.of("once.up", bytes([1, 1])).played({"loop": "no"}))
    arrive(one)
    assert left(one, 10**12) == [2]
    assert one.next == NEVER
    one.configure(branch(delivery=EVERY_MS), 10**12)
    assert left(one, 10**12 + 6 * MS) == [8]


def test_codel_works_on_what_waits():
    one = traced(EVERY_5_MS, queue=Queue.parse("codel"))
    for number in range(1, 1001):
        one.arrive(number * MS, number, 1500, b"", [])
        one.release(number * MS, [])
    assert one.counters[DROPPED] > 5


@pytest.mark.parametrize("shape", [{}, {"buffer": Size(50_000)}, {"delay": Time(200 * MS)}])
def test_the_daemon_holds_what_was_asked_for(shape):
    wanted = branch(delivery=EVERY_MS.played({"offset": "500us", "scale": "30%"}), **shape)
    held = control.branch_from_json(json.loads(json.dumps(control.branch_to_json(wanted))))
    assert held == wanted
    assert differences(wanted, held) == []
    assert shape_of(held).changed(limit=None) == LinkShape(delivery=wanted.delivery, **shape)


def test_another_buffer_or_trace_is_a_difference():
    wanted = branch(delivery=EVERY_MS)
    assert differences(wanted, branch(delivery=EVERY_5_MS))[0] == "delivery 5.up -> ms.up"
    assert differences(wanted, branch(delivery=EVERY_MS, buffer=Size(50_000))) == ["buffer_bytes 50000 -> 75200"]
