"""Edges with a queue discipline, a buffer or an overhead of their own."""

import struct
from dataclasses import replace

import pytest

from harness.model.queueing import Queue
from harness.shaping.qdisc import Branch, Netem, Tbf
from harness.shaping.userspace.clock import NEVER
from harness.shaping.userspace.counters import DROPPED, SENT_PACKETS
from harness.shaping.userspace.link_queue import LinkQueue
from tests.unit.shaping.userspace.disciplines.simulation import header
from tests.unit.shaping.userspace.test_link_queue import MS, shaped, times, verdicts

RATE = 1_250_000
ECT, NOT_ECT = header(bits=2), header()
MARK = 3


def own(queue=None, limit=10**6, burst=3028, rate=RATE, **netem):
    tbf = Tbf(rate, burst, limit)
    branch = Branch(1, Netem(**{"limit": 10**6, "seed": 5} | netem), tbf, queue and Queue.parse(queue), limit)
    return LinkQueue(7, branch, [0, 0, 0])


def overload(one, head, milliseconds=3000):
    """A full frame every ms, of which 1.21 ms are sent at 10 Mbit/s; every verdict's raw message by packet id."""
    out = []
    for number in range(1, milliseconds + 1):
        assert one.arrive(number * MS, number, 1500, head, out)
        one.release(number * MS, out)
    found = {}
    for message in out:
        found[struct.unpack_from(">I", message, 28)[0]] = message
    return found


def decided(out):
    """The ids of the packets that got a verdict, as the kernel understands it; none has got two."""
    found, waiting = [], set(range(1, 5000))
    for kind, _, number in verdicts(out):
        ids = {each for each in waiting if each <= number} if kind == 3 else {number}
        assert ids <= waiting
        waiting -= ids
        found += ids
    return sorted(found)


def is_marked(message):
    return len(message) > 32 and struct.unpack_from("=HH", message, 32)[1] == MARK


@pytest.mark.parametrize("queue", ["codel", "fq_codel", "red,min=30kB,max=90kB", "pie"])
def test_what_asks_for_ecn_is_marked_and_the_rest_dropped(queue):
    one = own(queue)
    messages = overload(one, NOT_ECT)
    assert one.counters[DROPPED] > 5
    assert one.counters[DROPPED] == sum(what == 0 for _, what, _ in verdicts(messages.values()))
    assert not any(map(is_marked, messages.values()))
    one = own(queue)
    messages = overload(one, ECT, 1500)
    assert sum(map(is_marked, messages.values())) > 2
    assert one.counters[DROPPED] < 10 or queue == "pie", "which drops from a probability of 10 % on"


@pytest.mark.parametrize("queue", [None, "codel", "fq_codel", "red", "pie"])
def test_every_packet_gets_one_verdict_and_the_backlog_ends_at_nothing(queue):
    one = own(queue, limit=150_000, delay_ns=5 * MS, jitter_ns=2 * MS)
    out = []
    for number in range(1, 4001):
        if not one.arrive(number * MS, number, 1500, NOT_ECT, out):
            out.append(b"")
        one.release(number * MS, out)
    one.release(NEVER - 1, out)
    assert decided(out) == list(range(1, 4001))
    assert one.counters[SENT_PACKETS] + one.counters[DROPPED] == 4000
    assert (one.queued, one.backlog_bytes, one.next) == (0, 0, NEVER)


def test_a_buffer_holds_its_bytes_of_small_packets_too():
    for size in (86, 500, 1500):
        one = own(limit=64_000, burst=1514)
        for number in range(1, 2001):
            one.arrive(0, number, size - 14, b"", [])
        one.release(0, [])
        at_once = 1514 // size
        assert one.queued == 64_000 // size
        assert one.counters[DROPPED] == 2000 - one.queued - at_once


def test_a_link_with_a_buffer_keeps_packets_in_order_as_one_with_a_rate_does():
    one = shaped(rate="10mbit", delay="20ms", jitter="15ms", buffer="100ms")
    out = []
    for number in range(1, 201):
        one.arrive(number * 2 * MS, number, 1500, b"", out)
    one.release(NEVER - 1, out)
    assert decided(out) == list(range(1, 201))
    assert [number for _, _, number in verdicts(out)] == sorted(number for _, _, number in verdicts(out))


def test_packets_of_a_ping_pass_those_of_a_bulk_flow():
    one, out = own("fq_codel"), []
    for number in range(1, 51):
        one.arrive(0, number, 1500, header(1), out)
    one.arrive(MS, 100, 84, header(2), out)
    one.release(4 * MS, out)
    assert 100 in [number for _, _, number in verdicts(out)]
    assert one.queued > 40
    assert one.unordered == NEVER, "no verdict may be for all before it"


@pytest.mark.parametrize("queue", [None, "codel", "fq_codel", "red", "pie"])
@pytest.mark.parametrize("other", [None, "codel", "fq_codel", "red", "pie"])
def test_what_waits_stays_when_discipline_rate_and_buffer_change(queue, other):
    one, out = own(queue, limit=10**6), []
    for number in range(1, 101):
        one.arrive(0, number, 1486, header(number % 3), out)
    one.release(0, out)
    waiting = one.queued
    assert waiting > 90
    changed = replace(one.branch, tbf=Tbf(10**7, 3028, 15_000), queue=other and Queue.parse(other), buffer_bytes=15_000)
    one.configure(changed, MS)
    assert one.queued == waiting
    one.release(MS + waiting * 150_000, out)
    assert one.queued <= 1, "at the new rate: 150 us each"
    one.release(NEVER - 1, out)
    assert one.counters[DROPPED] == 0
    assert decided(out) == list(range(1, 101))


@pytest.mark.parametrize("other", [None, "codel", "fq_codel", "red", "pie"])
def test_what_waits_for_a_rate_stays_when_the_edge_gets_a_queue(other):
    """A hundred frames wait, ten times what the buffer holds; ten are on the delay line."""
    one, out = LinkQueue(7, Branch(1, Netem(limit=10**6, delay_ns=10 * MS, rate_byte_s=RATE)), [0, 0, 0]), []
    for number in range(1, 101):
        one.arrive(0, number, 1486, header(number % 3), out)
    for number in range(101, 111):
        one.arrive(30 * MS, number, 1486, header(number % 3), out)
    tbf = Tbf(RATE, 3028, 15_000)
    one.configure(Branch(1, Netem(limit=10**6, delay_ns=10 * MS), tbf, other and Queue.parse(other), 15_000), 31 * MS)
    assert one.queued == 110
    one.release(39 * MS, out)
    assert one.counters[DROPPED] == 0
    one.release(NEVER - 1, out)
    assert decided(out) == list(range(1, 111))
    assert one.counters[SENT_PACKETS] >= (80 if other in ("codel", "fq_codel") else 100), (
        "CoDel drops a few at its time"
    )
    assert one.backlog_bytes == 0


def test_codel_goes_on_dropping_while_its_rate_changes():
    """A trace changes rates ten times a second, which is CoDel's interval."""
    one, out = own("codel"), []
    for number in range(1, 5001):
        one.arrive(number * MS, number, 1500, NOT_ECT, out)
        if number % 100 == 0:
            tbf = replace(one.branch.tbf, rate_byte_s=RATE + number)
            one.configure(replace(one.branch, tbf=tbf), number * MS)
        one.release(number * MS, out)
    assert one.counters[DROPPED] > 100


@pytest.mark.parametrize("overhead", [24, -14])
def test_overhead_counts_for_a_rate(overhead):
    rate = 1_000_000
    wanted = [(1000 + overhead) * count * 1000 for count in (1, 2, 3)]
    one = LinkQueue(7, Branch(1, Netem(limit=100, rate_byte_s=rate, overhead=overhead)), [0, 0, 0])
    assert times(one, 3, 0, length=986) == wanted
    one = LinkQueue(7, Branch(1, Netem(limit=100), Tbf(rate, 1000 + overhead, 10**6, overhead)), [0, 0, 0])
    assert times(one, 4, 0, length=986) == [0, *wanted]
    assert one.counters[1] == 4 * 1000, "bytes are counted as without it"


def test_overhead_counts_for_every_segment_of_a_super_packet():
    one = LinkQueue(7, Branch(1, Netem(limit=100, rate_byte_s=10**6, overhead=24)), [0, 0, 0])
    assert times(one, 1, 0, length=52 + 10 * 1448) == [10 * (1514 + 24) * 1000]


def test_a_new_overhead_holds_for_what_waits():
    one = LinkQueue(7, Branch(1, Netem(limit=100, rate_byte_s=10**6)), [0, 0, 0])
    for number in (1, 2, 3):
        one.arrive(0, number, 986, b"", [])
    one.configure(replace(one.branch, netem=replace(one.branch.netem, overhead=500)), MS)
    leaves = []
    while one.next < NEVER:
        leaves.append(one.next)
        one.release(one.next, [])
    assert leaves == [MS, 2_500_000, 4 * MS]


def test_a_super_packet_larger_than_the_bucket_waits_for_as_long_as_it_takes():
    one = own(burst=3028, rate=10**6)
    out = []
    assert one.arrive(0, 1, 52 + 20 * 1448, b"", out)
    one.release(0, out)
    assert one.next == (20 * 1514 - 3028) * 1000


def test_headers_are_wanted_where_a_discipline_looks_at_them():
    wanted = {None: False, "codel": True, "codel,ecn=no": False, "fq_codel,ecn=no": True}
    assert {queue: own(queue).needs_header for queue in wanted} == wanted
