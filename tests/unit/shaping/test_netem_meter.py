"""The counters in the kernel's messages about qdiscs; tests/live/test_sampling.py has the kernel itself."""

import socket
import struct

import pytest

from harness.netlink.nlattr import attr
from harness.shaping import netem_meter
from harness.shaping.counts import edge_counts, read_counts
from harness.shaping.netem_meter import NetemMeter

BASIC, QUEUE, PACKETS64 = 1, 3, 8


def qdisc(*stats, index=7, handle=0x110000):
    """A message of a dump, with these attributes in its TCA_STATS2."""
    header = struct.pack("=BxxxiIII", 0, index, handle, 0x10002, 2)
    return header + attr(1, b"netem\0") + attr(2, bytes(100)) + attr(7, b"".join(stats)) + attr(3, bytes(36))


def basic(packets, size):
    return attr(BASIC, struct.pack("=QIxxxx", size, packets))


def queue(packets, size, drops):
    return attr(QUEUE, struct.pack("=5I", packets, size, drops, 0, 0))


def test_what_a_qdisc_has_counted():
    assert read_counts(qdisc(basic(12, 2**40), queue(3, 4500, 6))) == (12, 2**40, 6, 4500, 3)
    assert read_counts(memoryview(qdisc(basic(12, 2**40), queue(3, 4500, 6)))) == (12, 2**40, 6, 4500, 3)


def test_a_qdisc_without_counters_has_counted_nothing():
    assert read_counts(qdisc()) == (0, 0, 0, 0, 0)
    assert read_counts(struct.pack("=BxxxiIII", 0, 7, 0, 0, 0) + attr(1, b"netem\0")) == (0, 0, 0, 0, 0)


def test_more_packets_than_32_bits_count():
    counted = read_counts(qdisc(basic(5, 2**50), attr(PACKETS64, struct.pack("=Q", 2**32 + 5))))
    assert counted == (2**32 + 5, 2**50, 0, 0, 0)


@pytest.mark.parametrize(
    ("line", "behind", "expected"),
    [
        ((9, 900, 1, 300, 3), (0, 0, 0, 200, 2), (9, 900, 1, 300, 3)),  # Linux 6.13: the line counts both
        ((9, 900, 1, 100, 1), (0, 0, 0, 200, 2), (9, 900, 1, 300, 3)),
    ],
)
def test_the_delay_line_and_what_waits_behind_it(line, behind, expected):
    assert edge_counts(line, behind) == expected


LINE, QUEUED = (9, 900, 5, 700, 7), (9, 900, 4, 600, 6)


def test_what_waits_behind_a_bucket_is_the_edges_and_else_the_uplinks():
    leaf = (8, 800, 4, 500, 5)
    assert edge_counts(LINE, QUEUED, tbf=(8, 800, 4, 500, 5)) == LINE
    assert edge_counts(LINE, QUEUED, tbf=(8, 800, 3, 500, 5), leaf=leaf) == LINE
    assert edge_counts(LINE, QUEUED, leaf=leaf) == (9, 900, 1, 200, 2)
    assert edge_counts(LINE, QUEUED, leaf=(8, 800, 6, 800, 8)) == (9, 900, 0, 0, 0), "it was counted a little later"


class Kernel:
    """Answers a dump with these messages."""

    def __init__(self, *messages):
        self.messages = messages

    def dump(self, *_):
        return map(memoryview, self.messages)


def test_netems_of_neighbours_are_told_from_other_qdiscs_and_interfaces(monkeypatch):
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: 7)
    monkeypatch.setattr(netem_meter, "Rtnetlink", lambda: None)
    meter = NetemMeter([1, 2])
    meter._netlink = Kernel(
        qdisc(basic(99, 99), index=1),
        qdisc(basic(50, 5000), handle=0x10000),
        qdisc(basic(1, 100), queue(1, 100, 0)),
        qdisc(basic(1, 100), queue(2, 200, 4), handle=0x80110000),
        qdisc(basic(1, 100), queue(1, 100, 6), handle=0xB0110000),
        qdisc(basic(3, 300), handle=0x130000),
    )
    assert meter.read() == {1: (1, 100, 0, 200, 2)}
