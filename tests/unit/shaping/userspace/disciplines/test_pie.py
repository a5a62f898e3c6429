"""PIE against RFC 8033."""

from itertools import pairwise

import pytest

from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.pie import ALPHA, BETA, MAX_BURST, Pie
from harness.shaping.userspace.packet import CE, ecn
from tests.unit.shaping.userspace.disciplines.simulation import FRAME, MS, header, packet, run, standing

ECT = header(bits=2)


def made(text="pie", limit=10**9, seed=1):
    return Pie(Queue.parse(text), limit, seed)


def after_updates(probability, delays):
    """The probability after an update for each of the delays (ms) that packets had."""
    one = made()
    for number in range(10_000):
        one.push(0, packet(number))
    one._update(0)
    one.probability, one._old_delay = probability, delays[0] * MS
    found = []
    for step, delay in enumerate(delays, 1):
        one._delay = delay * MS
        one._update(step * 15 * MS)
        found.append(one.probability)
    return found


@pytest.mark.parametrize(
    ("probability", "divisor"),
    [(0, 2048), (5e-6, 512), (5e-5, 128), (5e-4, 32), (5e-3, 8), (0.05, 2), (0.1, 1), (0.5, 1)],
)
@pytest.mark.parametrize(("delay", "rise"), [(30, 0), (15, 4), (10, -5), (20, 10)])
def test_an_update(probability, divisor, delay, rise):
    """Section 4.2: alpha times what the delay is above 15 ms, and beta times its rise, scaled by the probability."""
    change = (ALPHA * (delay - 15) + BETA * rise) / 1000 / divisor
    found = after_updates(probability, [delay - rise, delay])
    first = max(0.0, probability + ALPHA * (delay - rise - 15) / 1000 / divisor)
    if (first >= 0.1) == (probability >= 0.1) and first:
        assert found[1] == pytest.approx(max(0.0, first + change), rel=0.02, abs=1e-9)


def test_a_high_probability_grows_in_small_steps():
    assert after_updates(0.2, [0, 200])[1] - after_updates(0.2, [0, 0])[0] == pytest.approx(0.02, abs=1e-9)


def test_a_long_delay_raises_it_faster():
    assert after_updates(0.0, [251])[0] > 0.02 > after_updates(0.0, [249])[0]


def test_without_traffic_it_decays():
    one = made()
    one._update(0)
    one.probability = 0.5
    one._update(15 * MS)
    once = one.probability
    assert once == pytest.approx((0.5 - ALPHA * 0.015) * 0.98)
    one._update(10**12)
    assert one.probability == 0


def overload(one, head=b"", until=2000, rate=2):
    """So many packets come every ms, one is sent: numbers of those dropped, and of those marked."""
    dropped, marks = [], []
    for now in range(until):
        for each in range(rate):
            number = rate * now + each
            dropped += [number] * len(one.enqueue(now * MS, packet(number, came=now * MS, head=head)))
        sent, _ = one.dequeue(now * MS)
        if sent is not None and ecn(sent[5]) == CE:
            marks.append(sent[1])
    return dropped, marks


def test_a_burst_is_let_pass():
    dropped, _ = overload(made())
    assert dropped[0] >= 2 * MAX_BURST // MS


@pytest.mark.parametrize("size", [FRAME, 9014])
def test_two_full_frames_are_never_dropped(size):
    one = made()
    one.probability, one._old_delay, one._burst = 1.0, 100 * MS, 0
    for number in range(3):
        assert not one.enqueue(0, packet(number, size))
    one.enqueue(0, packet(3, size))
    assert one.enqueue(0, packet(4, size)) or one._summed > 0


@pytest.mark.parametrize("probability", [0.01, 0.05, 0.2])
def test_drops_keep_a_distance(probability):
    """Section 5.4: none before the probabilities sum up to 0.85, one for sure at 8.5."""
    one, dropped = made(), []
    one._update(0)
    for number in range(20_000):
        one.probability, one._old_delay, one._burst = probability, 100 * MS, 0
        dropped += [number] * len(one.enqueue(0, packet(number)))
    gaps = [after - before for before, after in pairwise(dropped)]
    assert min(gaps) >= 0.85 / probability - 1
    assert max(gaps) <= 8.5 / probability + 1


def test_ecn_marks_below_ten_percent_only():
    for probability, marks in ((0.09, True), (0.11, False)):
        one = made()
        one._update(0)
        dropped = 0
        for number in range(1000):
            one.probability, one._old_delay, one._burst = probability, 100 * MS, 0
            dropped += len(one.enqueue(0, packet(number, head=ECT)))
        marked = sum(ecn(waiting[1][5]) == CE for waiting in one.waiting)
        assert (bool(marked), bool(dropped)) == (marks, not marks)


def test_the_buffer_bounds_it():
    one = made(limit=10 * FRAME)
    assert sum(len(one.enqueue(0, packet(number))) for number in range(15)) == 5


@pytest.mark.parametrize("asks", [False, True])
def test_tcp_waits_for_about_the_target(asks):
    (flow,), _ = run("pie", 2_500_000, ecn_flows=asks)
    assert 3 < standing(flow.sojourns) < 25
    assert flow.delivered > 0.9 * 20 * 1_250_000 / FRAME
    assert bool(flow.marked) == asks
