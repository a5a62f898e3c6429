"""What a line does to packets: time is an argument here, so no clock and no kernel is needed."""

import struct
from dataclasses import replace
from itertools import pairwise
from statistics import fmean, stdev

import pytest

from harness.model.distribution import moments
from harness.model.node_plan import PlannedEdge, Port
from harness.shaping.qdisc import Branch, Netem, Tbf
from harness.shaping.shape_branch import branch_of
from harness.shaping.userspace.clock import NEVER
from harness.shaping.userspace.counters import DROPPED, SENT_BYTES, SENT_PACKETS
from harness.shaping.userspace.link_queue import LinkQueue
from harness.shaping.userspace.nfqueue import ACCEPT, DROP
from harness.shaping.userspace.packet import wire_bytes
from tests.support.plans import shape

MS = 10**6
WHOLE = 2**32 - 1
ETHERNET = 14


def line(tbf=None, **netem):
    return LinkQueue(7, Branch(1, Netem(**{"limit": 10**6, "seed": 5} | netem), tbf), [0, 0, 0])


class Next:
    """What packets cross next."""

    def __init__(self):
        self.entering = []


def verdicts(out):
    """(kind, verdict, id) of every message: kind 1 is about one packet, 3 about all up to that id."""
    found = []
    data = b"".join(out)
    while data:
        size, kind = struct.unpack_from("=IH", data)
        what, number = struct.unpack_from(">II", data, 24)
        found.append((kind & 0xFF, what, number))
        data = data[size:]
    return found


def left(one, until=NEVER - 1):
    """The ids that leave until then, in their order; of a batch all that were held."""
    out = []
    one.release(until, out)
    return [number for _, what, number in verdicts(out) if what == ACCEPT]


def times(one, count, gap, length=1000):
    """When each of so many packets leaves, ns after it came: read one by one from ``next``."""
    for number in range(1, count + 1):
        assert one.arrive(number * gap, number, length, b"", [])
    found, last = {}, 0
    while one.next < NEVER:
        at = one.next
        out = []
        one.release(at, out)
        for kind, _, number in verdicts(out):
            for each in range(last + 1 if kind == 3 else number, number + 1):
                found[each] = at - each * gap
            last = max(last, number)
    return [found[number] for number in sorted(found)]


def test_delay_is_exact_and_keeps_the_order():
    one = line(delay_ns=20 * MS)
    assert times(one, 50, MS) == [20 * MS] * 50
    assert one.next == NEVER
    assert one.counters == [50, 50 * 1014, 0]


def test_nothing_leaves_early():
    one = line(delay_ns=20 * MS)
    one.arrive(0, 1, 100, b"", [])
    assert left(one, 20 * MS - 1) == []
    assert one.queued == 1
    assert one.backlog_bytes == 114
    assert left(one, 20 * MS) == [1]
    assert (one.queued, one.backlog_bytes) == (0, 0)


def test_packets_in_order_leave_by_one_verdict():
    one = line(delay_ns=MS)
    for number in range(1, 9):
        one.arrive(0, number, 100, b"", [])
    out = []
    one.release(MS, out)
    assert verdicts(out) == [(3, ACCEPT, 8)]


def test_rate_spaces_packets_by_their_length_with_headers():
    one = line(delay_ns=10 * MS, rate_byte_s=1_000_000)
    assert times(one, 3, 0, length=986) == [11 * MS, 12 * MS, 13 * MS]


def test_an_idle_rate_gives_no_credit():
    one = line(rate_byte_s=1_000_000)
    one.arrive(0, 1, 986, b"", [])
    one.arrive(500 * MS, 2, 986, b"", [])
    one.arrive(500 * MS, 3, 986, b"", [])
    assert left(one, MS) == [1]
    assert one.next == 501 * MS
    assert left(one, 501 * MS) == [2]
    assert one.next == 502 * MS


def test_a_super_packet_takes_as_long_as_its_segments():
    segments = 10
    assert wire_bytes(52 + segments * 1448) == segments * 1514
    assert wire_bytes(1500) == 1514
    assert wire_bytes(40) == 54


def test_the_limit_drops_at_the_tail_and_counts():
    one = line(delay_ns=MS, limit=3)
    assert [one.arrive(0, number, 100, b"", []) for number in range(1, 6)] == [True, True, True, False, False]
    assert left(one) == [3]
    assert one.counters == [3, 342, 2]


@pytest.mark.parametrize("chance", [{}, {"corrupt": 1}], ids=["sure", "by chance"])
def test_who_looks_late_drops_no_packet_that_found_room(chance):
    """The machine stood still for 10 ms, while a packet a millisecond came; each was to stay for 2 ms."""
    one, out = line(delay_ns=2 * MS, limit=3, **chance), []
    assert all(one.arrive(number * MS, number, 100, b"", out) for number in range(1, 11))
    assert [number for _, what, number in verdicts(out) if what == ACCEPT][-1] == 8
    assert one.next == 11 * MS
    assert one.counters == [8, 8 * 114, 0]


def test_who_looks_late_sends_as_many_twice():
    """A packet and its copy every millisecond, each to stay for two: at most six at once."""
    one, packet = line(delay_ns=2 * MS, limit=6, duplicate=WHOLE), bytes([0x45]) + bytes(99)
    assert all(one.arrive(number * MS, number, 100, packet, []) for number in range(1, 11))
    left(one)
    assert len(one.copies) == 10
    assert one.counters == [20, 20 * 114, 0]


def test_who_looks_late_finds_the_line_as_full_as_it_was():
    """One every 3 ms, each to stay for 10: the fourth found three before it, all others found room."""
    one = line(delay_ns=10 * MS, limit=3)
    took = [one.arrive(number * 3 * MS, number, 100, b"", []) for number in range(1, 7)]
    assert took == [True, True, True, False, True, True]


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_jitter_has_the_moments_of_netems_tables(distribution):
    one = line(delay_ns=100 * MS, jitter_ns=10 * MS, distribution=distribution)
    delays = times(one, 20_000, 200 * MS)
    mean, std = moments(distribution)
    assert fmean(delays) == pytest.approx(100 * MS + mean * 10 * MS, abs=0.5 * MS)
    assert stdev(delays) == pytest.approx(std * 10 * MS, rel=0.05)


def test_jitter_reorders_without_a_rate_and_not_with_one():
    free, rated = line(delay_ns=20 * MS, jitter_ns=5 * MS), line(delay_ns=20 * MS, jitter_ns=5 * MS, rate_byte_s=10**8)
    for number in range(1, 201):
        for one in (free, rated):
            one.arrive(number * MS // 10, number, 100, b"", [])
    order = []
    while free.next < NEVER:
        order += left(free, free.next)
    assert sorted(order) == list(range(1, 201))
    assert order != sorted(order)
    order = []
    while rated.next < NEVER:
        order += left(rated, rated.next)
    assert order == sorted(order)
    assert order[-1] == 200


def test_no_packet_leaves_before_it_came():
    assert min(times(line(delay_ns=MS, jitter_ns=MS, distribution="normal"), 5000, 10 * MS)) >= 0


def test_loss_is_the_share_asked_for_and_the_same_for_a_seed():
    def lost(seed):
        one = line(loss=WHOLE // 20, seed=seed)
        return [number for number in range(1, 40_001) if not one.arrive(0, number, 100, b"", [])]

    assert len(lost(1)) / 40_000 == pytest.approx(0.05, abs=0.005)
    assert lost(1) == lost(1)
    assert lost(1) != lost(2)


def test_a_link_that_loses_all_lets_nothing_pass():
    one = line(loss=WHOLE, delay_ns=MS, reorder=WHOLE // 2, gap=1)
    assert not any(one.arrive(0, number, 100, b"", []) for number in range(1, 2000))
    assert one.counters[DROPPED] == 1999
    assert one.next == NEVER


def test_the_chain_loses_in_bursts():
    p, r = 0.01, 0.2
    one = line(chain=(round(p * WHOLE), round(r * WHOLE), 0, 0))
    lost = [not one.arrive(0, number, 100, b"", []) for number in range(100_000)]
    assert sum(lost) / len(lost) == pytest.approx(p / (p + r), abs=0.006)
    after_loss = [second for first, second in pairwise(lost) if first]
    assert sum(after_loss) / len(after_loss) == pytest.approx(1 - r, abs=0.03)


def test_the_chain_loses_by_its_states():
    one = line(chain=(0, WHOLE, 0, WHOLE // 10))  # always good
    lost = sum(not one.arrive(0, number, 100, b"", []) for number in range(50_000))
    assert lost / 50_000 == pytest.approx(0.1, abs=0.01)


def test_reordered_packets_skip_delay_and_rate():
    one = line(delay_ns=20 * MS, rate_byte_s=10**6, reorder=WHOLE // 4, gap=1)
    for number in range(1, 4001):
        one.arrive(0, number, 100, b"", [])
    assert len(left(one, 0)) / 4000 == pytest.approx(0.25, abs=0.03)


def test_sent_twice():
    packet = bytes([0x45]) + bytes(99)
    one = line(delay_ns=MS, duplicate=WHOLE // 10)
    for number in range(1, 10_001):
        assert one.arrive(0, number, 100, packet, [])
    out = []
    one.release(MS, out)
    assert len(one.copies) / 10_000 == pytest.approx(0.1, abs=0.012)
    assert set(one.copies) == {packet}
    assert one.counters[SENT_PACKETS] == 10_000 + len(one.copies)
    assert one.counters[SENT_BYTES] == 114 * one.counters[SENT_PACKETS]


def test_corruption_flips_one_bit_beyond_the_ip_header():
    packet = bytes([0x45]) + bytes(999)
    one = line(corrupt=WHOLE)
    held = sum(one.arrive(0, number, 1000, packet, []) for number in range(1, 501))
    assert held + one.counters[DROPPED] == 500
    assert one.counters[DROPPED] / 500 == pytest.approx(20 / 1000, abs=0.03)
    out = []
    one.release(0, out)
    for message in out:
        payload = message[36:1036]
        flipped = [a ^ b for a, b in zip(payload, packet, strict=True)]
        assert sum(value.bit_count() for value in flipped) == 1
        assert not any(flipped[:20])


def test_a_changed_packet_keeps_its_place():
    packet = bytes([0x45]) + bytes(999)
    one = line(delay_ns=MS, corrupt=WHOLE // 3)
    held = [number for number in range(1, 101) if one.arrive(0, number, 1000, packet, [])]
    out = []
    one.release(MS, out)
    numbers = [number for _, _, number in verdicts(out)]
    assert numbers == sorted(numbers)
    assert numbers[-1] == held[-1]


def test_a_change_is_for_packets_that_come_after_it():
    one = line(delay_ns=100 * MS)
    one.arrive(0, 1, 100, b"", [])
    one.configure(replace(one.branch, netem=replace(one.branch.netem, delay_ns=10 * MS)), MS)
    one.arrive(MS, 2, 100, b"", [])
    assert one.next == 11 * MS
    out = []
    one.release(11 * MS, out)
    assert verdicts(out) == [(1, ACCEPT, 2)]  # by its own verdict: a batch would let the first one go too
    assert left(one, 100 * MS - 1) == []
    assert left(one, 100 * MS) == [1]


def test_a_change_loses_nothing():
    one = line(delay_ns=50 * MS)
    ids = []
    for number in range(1, 1001):
        if number % 7 == 0:
            netem = replace(one.branch.netem, delay_ns=(number * 37 % 90) * MS, rate_byte_s=(number % 2) * 10**7)
            one.configure(replace(one.branch, netem=netem), number * MS)
        assert one.arrive(number * MS, number, 100, b"", [])
        out = []
        one.release(number * MS, out)
        ids += [(kind, n) for kind, _, n in verdicts(out)]
    out = []
    one.release(NEVER - 1, out)
    assert one.counters[SENT_PACKETS] == 1000
    assert one.counters[DROPPED] == one.queued == one.backlog_bytes == 0


def test_a_token_bucket_lets_a_burst_pass_and_then_its_rate():
    bucket = Tbf(rate_byte_s=1_000_000, burst=4000, limit=100_000)
    assert times(line(bucket), 8, 0, length=986) == [0, 0, 0, 0, MS, 2 * MS, 3 * MS, 4 * MS]


def test_a_token_bucket_stands_behind_the_delay():
    bucket = Tbf(rate_byte_s=1_000_000, burst=2000, limit=100_000)
    assert times(line(bucket, delay_ns=10 * MS), 4, 0, length=986) == [10 * MS, 10 * MS, 11 * MS, 12 * MS]


def test_a_full_token_bucket_drops_and_counts():
    """Tokens for two, then room for three, as sch_tbf has it, which lets each go as it comes while there are tokens."""
    one = line(Tbf(rate_byte_s=1_000_000, burst=2000, limit=3000))
    for number in range(1, 7):
        assert one.arrive(0, number, 986, b"", [])
    out = []
    one.release(NEVER - 1, out)
    assert [what for _, what, _ in verdicts(out)].count(DROP) == 1
    assert one.counters == [5, 5000, 1]
    assert one.queued == one.backlog_bytes == 0


def test_who_looks_late_finds_room_in_a_token_bucket_as_it_was():
    """A packet a millisecond, at the bucket's rate, seen all at once: none of them ever had to wait."""
    one = line(Tbf(rate_byte_s=1_000_000, burst=2000, limit=3000))
    for number in range(1, 31):
        assert one.arrive(number * MS, number, 986, b"", [])
    left(one)
    assert one.counters == [30, 30_000, 0]


# What waits for the rate


def shaped(**values):
    """The queue of an edge with that shape, as the engine makes it."""
    edge = PlannedEdge(0, 1, shape(**values))
    port = Port(edge, 1, (1,))
    return LinkQueue(7, branch_of(port, 0), [0, 0, 0])


def fill(one, count, length=1500, now=0):
    """Whether each of so many packets that come at the same time finds room."""
    return [one.arrive(now, number, length, b"", []) for number in range(1, count + 1)]


@pytest.mark.parametrize("length", [28, 128, 600, 1500])
@pytest.mark.parametrize("jitter", ["0ms", "150ms"])
def test_no_packet_in_flight_is_dropped_whatever_its_size(length, jitter):
    """At 0.9 of the rate for 20 round trips: 200 ms at 1 Mbit/s are 595 of the smallest packets and 17 full frames."""
    one = shaped(rate="1mbit", delay="200ms", jitter=jitter)
    gap = (length + ETHERNET) * 8000 * 10 // 9
    most = 0
    for number in range(1, int(8e9 / gap)):
        assert one.arrive(number * gap, number, length, b"", [])
        one.release(number * gap, [])
        most = max(most, one.queued)
    assert one.counters[DROPPED] == 0
    assert most <= one.branch.netem.limit


@pytest.mark.parametrize("length", [128, 1500])
def test_what_waits_is_bounded_in_bytes(length):
    """100 ms at 1 Mbit/s: a round trip's worth, 25 kB, is less than 32 full frames."""
    one = shaped(rate="1mbit", delay="100ms")
    taken = sum(fill(one, 2000, length)) * (length + ETHERNET)
    assert taken == pytest.approx(32 * 1514, abs=2 * 1514)


def test_room_comes_back_at_the_rate():
    one = shaped(rate="8mbit")
    assert fill(one, 100).count(True) == 34
    assert one.arrive(100 * MS, 101, 1500, b"", [])
    assert one.counters[DROPPED] == 66


def test_a_limit_in_packets_counts_those_in_flight_too():
    one = shaped(rate="1mbit", delay="100ms", limit=7)
    assert fill(one, 20, 100).count(True) == 7


# A change of the rate


def reshaped(one, now, rate_byte_s, tbf=None):
    one.configure(replace(one.branch, netem=replace(one.branch.netem, rate_byte_s=rate_byte_s), tbf=tbf), now)


def departures(one):
    found = {}
    while one.next < NEVER:
        at = one.next
        found |= dict.fromkeys(left(one, at), at)
    return found


def test_what_waits_leaves_at_a_raised_rate_at_once():
    """10 packets of 1000 bytes at 1 kB/s, and after 1.5 s at 1 MB/s: half of the second one is still to be sent."""
    one = line(rate_byte_s=1000)
    assert all(fill(one, 10, 986))
    assert left(one, 1500 * MS) == [1]
    reshaped(one, 1500 * MS, 10**6)
    assert departures(one) == {number: 1500 * MS + MS // 2 + (number - 2) * MS for number in range(2, 11)}


def test_what_waits_leaves_at_a_lowered_rate():
    one = line(rate_byte_s=10**6)
    assert all(fill(one, 3, 986))
    reshaped(one, 0, 10**5)
    assert departures(one) == {1: 10 * MS, 2: 20 * MS, 3: 30 * MS}
    assert one.arrive(0, 4, 986, b"", [])


def test_without_a_rate_what_waited_leaves_at_the_end_of_its_delay():
    one = line(rate_byte_s=1000, delay_ns=20 * MS)
    assert all(fill(one, 3, 986))
    assert one.arrive(90 * MS, 4, 986, b"", [])
    reshaped(one, 100 * MS, 0)
    assert departures(one) == {3: 100 * MS, 4: 110 * MS}
    assert one.counters == [4, 4000, 0]


def test_what_is_in_flight_keeps_its_delay_when_the_rate_changes():
    one = line(rate_byte_s=10**6, delay_ns=100 * MS)
    assert one.arrive(0, 1, 986, b"", [])
    reshaped(one, 50 * MS, 10**9)
    assert departures(one) == {1: 100 * MS + 1000}


def test_new_packets_come_after_what_waits_at_the_new_rate():
    one = line(rate_byte_s=1000)
    assert all(fill(one, 5, 986))
    reshaped(one, 0, 10**6)
    assert one.arrive(0, 6, 986, b"", [])
    assert departures(one) == {number: number * MS for number in range(1, 7)}


def test_a_raised_rate_makes_room_at_once():
    one = shaped(rate="8kbit")
    fill(one, 100)
    assert not one.arrive(MS, 101, 1500, b"", [])
    reshaped(one, MS, 10**8)
    assert one.arrive(2 * MS, 102, 1500, b"", [])


def test_a_token_buckets_new_rate_holds_for_what_waits():
    """A burst of 2 packets passes; the third has got 400 of its 1000 tokens when the rate rises to a thousandfold."""
    one = line(Tbf(rate_byte_s=1000, burst=2000, limit=100_000))
    assert all(fill(one, 5, 986))
    assert left(one, 400 * MS) == [2], "one verdict for both"
    one.configure(replace(one.branch, tbf=Tbf(rate_byte_s=10**6, burst=2000, limit=100_000)), 400 * MS)
    assert departures(one) == {number: 400 * MS + 600_000 + (number - 3) * MS for number in (3, 4, 5)}
    assert one.queued == one.backlog_bytes == one.counters[DROPPED] == 0


def test_a_token_bucket_keeps_its_tokens_when_its_rate_changes():
    one = line(Tbf(rate_byte_s=10**6, burst=2000, limit=100_000))
    one.configure(replace(one.branch, tbf=Tbf(rate_byte_s=1000, burst=2000, limit=100_000)), 5 * MS)
    assert all(fill(one, 3, 986, now=10 * MS))
    assert departures(one) == {2: 10 * MS, 3: 1010 * MS}, "one verdict for the first two"


@pytest.mark.parametrize(
    "netem",
    [
        {"delay_ns": 20 * MS},
        {"delay_ns": 20 * MS, "jitter_ns": 10 * MS},
        {"delay_ns": 20 * MS, "reorder": WHOLE // 10, "gap": 1},
        {"delay_ns": 20 * MS, "rate_byte_s": 1_000_000},
    ],
    ids=["delay", "jitter", "reorder", "rate"],
)
def test_what_crosses_a_shared_capacity_next_is_handed_over_with_what_is_known_of_its_order(netem):
    """No packet of an id above ``unordered`` leaves before one of a lower id, whatever changes meanwhile."""
    one, gone, next_batch = line(**netem), [], []
    one.flow = Next()
    for number in range(1, 400):
        now = number * MS
        if number % 100 == 0:  # shorter, so that later packets overtake
            one.configure(Branch(1, replace(one.branch.netem, delay_ns=(4 - number // 100) * 6 * MS)), now)
        assert one.arrive(now, number, 500, b"", [])
        one.release(now, out := [])
        assert not out
        for _, _, packet in one.flow.entering:
            if packet[1] > one.unordered:
                next_batch.append(packet[1])
                assert set(range(1, packet[1])) <= set(gone)
            gone.append(packet[1])
        one.flow.entering.clear()
    assert next_batch or "jitter_ns" in netem  # with jitter some packet always overtakes
    assert one.counters[SENT_PACKETS] == len(gone)


def test_what_was_handed_over_gets_its_verdict_later():
    one = line(delay_ns=MS, duplicate=WHOLE)
    one.flow = Next()
    one.arrive(0, 1, 100, b"\x45" + bytes(99), [])
    one.release(2 * MS, out := [])
    assert out == one.copies == []
    for at, flow, packet in one.flow.entering:
        assert (at, flow) == (MS, one.flow)
        one.let_go(packet, out)
    assert verdicts(out) == [(1, ACCEPT, 1)]
    assert len(one.copies) == 1


@pytest.mark.parametrize(("mtu", "frames"), [(1500, 7), (9000, 1), (1280, 8)])
def test_a_packets_frames_follow_from_the_mtu(mtu, frames):
    """9,000 bytes are one frame of a jumbo network, and a super-packet of several elsewhere, each with its headers."""
    branch = Branch(1, Netem(rate_byte_s=10**6, overhead=24, limit=1000), mtu=mtu)
    queue = LinkQueue(7, branch, [0, 0, 0])
    assert queue.arrive(0, 1, 9000, b"", [])
    counted = 9000 + 14 + (frames - 1) * 66 + 24 * frames
    assert queue.next == pytest.approx(counted * 1000, abs=30 * 1000)
