"""Bursts and buffers that are smaller than a packet."""

from dataclasses import replace

from harness.model.small_buckets import small_buckets
from tests.support.plans import network, shape

PLAN = network("line", 3, shape(rate="10mbit", burst="1514B"), e01=shape(rate="10mbit", burst="5B", buffer="100us"))


def test_each_is_named_with_what_is_applied():
    assert small_buckets(PLAN, [(0, 1)]) == [
        "the engine raises what is smaller than one full packet to 1.51 kB: burst 5 B of 0->1, buffer 100 µs of 0->1"
    ]
    assert "of 1->0" in small_buckets(PLAN)[0]


def test_what_has_room_for_a_packet_is_not_named():
    assert small_buckets(PLAN, [(1, 2), (2, 1)]) == []
    assert small_buckets(network("line", 2, shape(delay="1ms"))) == []


def test_a_packet_is_as_large_as_the_mtu_allows():
    assert "9.01 kB" in small_buckets(replace(PLAN, mtu=9000), [(1, 2)])[0]
