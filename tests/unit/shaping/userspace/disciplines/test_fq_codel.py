"""FQ-CoDel against RFC 8290."""

from collections import Counter

import pytest

from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.fq_codel import QUEUES, FqCodel
from harness.shaping.userspace.packet import CE, ecn
from tests.unit.shaping.userspace.disciplines.simulation import FRAME, MS, header, packet, run, standing


def made(text="fq_codel", limit=10**9, seed=1):
    return FqCodel(Queue.parse(text), limit, seed)


def fill(one, flow, count, size=FRAME, now=0, first=1):
    return [
        gone for number in range(count) for gone in one.enqueue(now, packet(first + number, size, now, header(flow)))
    ]


def sent(one, count, now=0):
    return [one.dequeue(now)[0] for _ in range(count)]


@pytest.mark.parametrize("small", [100, 500, FRAME])
def test_flows_send_as_many_bytes_whatever_their_packets(small):
    one = made()
    fill(one, 1, 400)
    fill(one, 2, 400 * FRAME // small, small)
    shares = Counter()
    while one.bytes > 400 * FRAME:
        (each,) = sent(one, 1)
        shares[each[5]] += each[2]
    assert abs(shares[header(1)] - shares[header(2)]) <= 2 * FRAME


def test_order_within_a_flow_is_kept():
    one = made()
    for number in range(1, 101):
        one.enqueue(0, packet(number, head=header(number % 3)))
    numbers = [each[1] for each in sent(one, 100)]
    for flow in range(3):
        own = [number for number in numbers if number % 3 == flow]
        assert own == sorted(own)
    assert one.dequeue(0)[0] is None
    assert (one.bytes, one.packets) == (0, 0)


def test_a_flow_that_begins_goes_ahead_of_one_that_waits():
    one = made()
    fill(one, 1, 50)
    sent(one, 5)
    fill(one, 2, 1, 98, first=1000)
    assert sent(one, 1)[0][1] == 1000


def test_a_flow_that_sends_one_at_a_time_is_not_new_each_time():
    """Else it would starve the others (section 4.2): after its packet it goes to the end of the old flows."""
    one = made()
    fill(one, 1, 200)
    sent(one, 5)
    turns = []
    for number in range(50):
        fill(one, 2, 1, first=1000 + number)
        turns += [each[5] for each in sent(one, 2)]
    assert turns.count(header(1)) == 50


def test_a_full_buffer_drops_from_the_head_of_the_longest_flow():
    one = made(limit=100 * FRAME)
    assert not fill(one, 1, 90)
    assert not fill(one, 2, 10, first=1000)
    dropped = fill(one, 3, 1, first=2000)
    assert [each[1] for each in dropped] == list(range(1, 46))
    assert one.bytes == 56 * FRAME
    assert one.packets == 56


def test_at_most_64_are_dropped_at_once():
    one = made(limit=100_000)
    fill(one, 1, 1000, 100)
    assert len(fill(one, 2, 1, 100)) == 64


def shared(seed):
    """Pairs of flows that are in one queue, and how many queues 500 flows take."""
    one = made(seed=seed)
    for flow in range(500):
        fill(one, flow, 1)
    together = [[packet[5] for _, packet in flow.waiting] for flow in one._flows.values()]
    return {tuple(heads) for heads in together if len(heads) == 2}, len(one._flows)


def test_flows_are_spread_over_the_queues_and_otherwise_with_another_seed():
    (pairs, queues), (others, _) = shared(0x1234567), shared(0x9876543)
    assert abs(queues - QUEUES * (1 - (1 - 1 / QUEUES) ** 500)) < 60
    assert pairs
    assert len(pairs & others) < len(pairs) / 4


def test_every_flow_has_a_codel_of_its_own():
    """One overloads the rate and is marked; a second one with a packet every 10 ms is not."""
    one, marks = made(), Counter()
    for now in range(3000):
        fill(one, 1, 2, now=now * MS)
        one.enqueue(now * MS, packet(1, head=header(1, 2)))
        if now % 10 == 0:
            one.enqueue(now * MS, packet(1, head=header(2, 2)))
        found, _ = one.dequeue(now * MS)
        if ecn(found[5]) == CE:
            marks[found[5][21]] += 1
    assert set(marks) == {header(1)[21]}


def test_what_waits_leaves_in_the_order_in_which_it_came():
    one = made()
    for number in range(1, 50):
        one.enqueue(number, packet(number, head=header(number % 7)))
    assert [came for came, _ in one.leave()] == list(range(1, 50))
    assert (one.bytes, one.packets) == (0, 0)
    assert one.dequeue(100)[0] is None


def test_a_ping_does_not_wait_behind_bulk_flows():
    flows, pings = run("fq_codel", 1_250_000, flows=2, pings=True)
    assert max(pings[50:]) < 3 * MS
    assert all(standing(flow.sojourns) < 25 for flow in flows)
    shares = [flow.delivered for flow in flows]
    assert max(shares) < 1.1 * min(shares)
    _, behind = run("droptail", 1_250_000, flows=2, pings=True)
    assert standing(behind) > 500
