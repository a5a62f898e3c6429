"""Droptail: bytes are what is counted."""

import pytest

from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.droptail import Droptail
from harness.shaping.userspace.disciplines.make import changed_discipline, make_discipline
from tests.unit.shaping.userspace.disciplines.simulation import MS, packet, run, standing


@pytest.mark.parametrize("size", [42, 100, 1514])
def test_a_queue_of_so_many_bytes_holds_them_whatever_the_size(size):
    one = Droptail(64_000)
    numbers = [number for number in range(1, 2000) if not one.enqueue(0, packet(number, size))]
    assert numbers == list(range(1, 64_000 // size + 1))
    assert (one.bytes, one.packets) == (64_000 // size * size, 64_000 // size)
    assert [one.dequeue(1)[0][1] for _ in numbers] == numbers
    assert (one.bytes, one.packets) == (0, 0)
    assert one.dequeue(1) == (None, ())


def test_a_super_packet_larger_than_the_queue_passes_an_empty_one():
    one = Droptail(10_000)
    assert one.enqueue(0, packet(1, 60_000)) == ()
    assert one.enqueue(0, packet(2, 60_000)) == (packet(2, 60_000),)


def test_a_smaller_queue_loses_nothing_of_what_waits():
    one, tail = make_discipline(Queue(), 10_000, 1, 1), Queue()
    for number in range(1, 6):
        one.enqueue(0, packet(number))
    assert changed_discipline(one, tail, tail, 3000, 1, 1) is one
    assert one.enqueue(0, packet(6)) == (packet(6),)
    assert [one.dequeue(0)[0][1] for _ in range(5)] == [1, 2, 3, 4, 5]


def test_another_discipline_gets_what_waits_with_the_times_at_which_it_came():
    one = make_discipline(Queue(), 10_000, 1, 1)
    for number in range(1, 6):
        one.enqueue(number, packet(number))
    other = changed_discipline(one, Queue(), Queue.of("codel"), 3000, 1, 1)
    assert (one.packets, one.bytes, other.packets, other.bytes) == (0, 0, 5, 5 * 1514)
    assert [(came, packet[1]) for came, packet in other.leave()] == [(number, number) for number in range(1, 6)]


def test_tcp_fills_it():
    (flow,), _ = run("droptail", 1_250_000)
    assert standing(flow.sojourns) > 500
    assert max(flow.sojourns) <= 1_000 * MS
