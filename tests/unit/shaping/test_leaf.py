"""Queue disciplines as qdiscs: the numbers that the kernel gets, and what it may report of them."""

import struct

import pytest

from harness.model.queueing import DISCIPLINES, Queue
from harness.netlink.nlattr import attr, attrs
from harness.shaping.leaf import MAX_BYTES, Leaf, leaf_options, passing, read_leaf

RATE = 1_250_000
LEAVES = [
    Leaf(Queue.parse(text), limit)
    for text in (
        *DISCIPLINES,
        "codel,target=7ms,interval=33ms,ecn=no",
        "fq_codel,target=1us,ecn=no",
        "red,min=10KiB,max=30KiB,probability=10%,ecn=no",
        "pie,target=20ms,interval=30ms,ecn=no",
    )
    for limit in (1514, 1_514_000, MAX_BYTES)
]


def numbers(leaf):
    """The attributes of 32 bits."""
    _, options = leaf_options(leaf, RATE)
    return {name: struct.unpack("=I", payload)[0] for name, payload in attrs(options).items() if len(payload) == 4}


@pytest.mark.parametrize("leaf", LEAVES, ids=str)
def test_what_the_kernel_reports_just_so_is_what_was_wanted(leaf):
    kind, options = leaf_options(leaf, RATE)
    assert read_leaf(kind, memoryview(options), leaf, RATE) is leaf


@pytest.mark.parametrize("leaf", LEAVES, ids=str)
def test_what_lets_all_pass_stays_so(leaf):
    open_ = passing(leaf)
    assert open_.limit == MAX_BYTES
    assert open_.queue.kind == leaf.queue.kind
    assert passing(open_) == open_
    kind, options = leaf_options(open_, RATE)
    assert leaf_options(passing(read_leaf(kind, memoryview(options), None, RATE)), RATE) == (kind, options)


def test_numbers_of_codel_fq_codel_and_pie():
    assert numbers(Leaf(Queue.parse("codel"), 100 * 1514)) == {1: 5000, 2: 100, 3: 100_000, 4: 1}
    assert numbers(Leaf(Queue.parse("codel,ecn=no"), 100 * 1514 + 1)) == {1: 5000, 2: 101, 3: 100_000, 4: 0}
    assert numbers(Leaf(Queue.parse("fq_codel"), 1514)) == {1: 5000, 2: 1, 3: 100_000, 4: 1, 9: MAX_BYTES}
    assert numbers(Leaf(Queue.parse("pie"), 1514)) == {1: 15_000, 2: 1, 3: 15_000, 6: 1}


def test_red_counts_bytes_and_its_average_shrinks_while_nothing_waits():
    _, options = leaf_options(Leaf(Queue.parse("red,probability=50%"), 120_000), RATE)
    found = attrs(options)
    assert struct.unpack("=IIIBBBB", found[1])[:5] == (120_000, 20_000, 60_000, 9, 0)
    assert struct.unpack("=I", found[3])[0] == 2**31
    cell_log, table = found[1][14], found[2]
    assert len(table) == 256
    assert table[0] == 0
    assert list(table) == sorted(table)
    assert table[255] == 31
    halved = next(cell for cell, shift in enumerate(table) if shift) << cell_log
    half = 354.5 * 800  # us: (1 - 1/512)^354.5 is a half, and one packet takes 0.8 ms
    assert half <= halved < half + (1 << cell_log)


def test_reds_thresholds_fit_the_kernels_average():
    for limit in (3, 1514, 10**7, MAX_BYTES):
        for rate in (1, RATE, 10**10):
            parms = attrs(leaf_options(Leaf(Queue.parse("red"), limit), rate)[1])[1]
            _, lowest, highest, weight, _, cell, _ = struct.unpack("=IIIBBBB", parms)
            assert 0 < lowest < highest
            assert highest.bit_length() + weight < 32
            assert 1 <= weight <= 9
            assert cell < 32


def reported(leaf, **changed):
    """The leaf as a kernel reports it that made other numbers of some."""
    kind, options = leaf_options(leaf, RATE)
    values = {**numbers(leaf), **{int(name[1:]): value for name, value in changed.items()}}
    made = b"".join(attr(name, struct.pack("=I", values[name])) for name in attrs(options))
    return read_leaf(kind, memoryview(made), leaf, RATE)


def test_times_may_be_off_by_the_kernels_ticks_and_no_more():
    codel, pie = Leaf(Queue.parse("codel"), 1514), Leaf(Queue.parse("pie"), 1514)
    assert reported(codel, _1=4999, _3=99_999) is codel
    assert reported(codel, _1=4990).queue == Queue.parse("codel,target=4990us")
    assert reported(pie, _3=20_000) is pie, "ten milliseconds are a jiffy where a second has a hundred"
    assert reported(pie, _3=40_000).queue == Queue.parse("pie,interval=40ms")


def test_what_differs_is_reported():
    codel = Leaf(Queue.parse("codel"), 10 * 1514)
    assert reported(codel, _2=11) == Leaf(codel.queue, 11 * 1514)
    assert reported(codel, _4=0).queue == Queue.parse("codel,ecn=no")
    assert read_leaf("bfifo", memoryview(struct.pack("=I", 99)), codel, RATE) == Leaf(Queue(), 99)
    assert read_leaf("sfq", memoryview(b""), codel, RATE) is None


def test_numbers_that_no_queue_of_ours_has_are_read():
    zeros = b"".join(attr(name, bytes(4)) for name in (1, 2, 3, 4))
    assert read_leaf("codel", memoryview(zeros), None, RATE).limit == 0
    red = attr(1, bytes(16)) + attr(2, bytes(256))
    assert read_leaf("red", memoryview(red), None, RATE).limit == 0
