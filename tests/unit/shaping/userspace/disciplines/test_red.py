"""RED against Floyd and Jacobson 1993."""

from itertools import pairwise
from statistics import fmean

import pytest

from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.red import TYPICAL, WEIGHT, Red
from harness.shaping.userspace.packet import CE, ecn
from tests.unit.shaping.userspace.disciplines.simulation import MS, header, packet, run

RATE = 1_250_000
ECT = header(bits=2)


def made(text="red,min=30kB,max=90kB,probability=2%", limit=10**7, seed=1):
    return Red(Queue.parse(text), limit, RATE, seed)


def test_the_average_is_exponentially_weighted():
    one, wanted = made("red,min=1MB,max=2MB"), 0.0
    for number in range(1000):
        wanted = (1 - WEIGHT) * wanted + WEIGHT * one.bytes if number else 0.0
        assert not one.enqueue(0, packet(number, 1000))
        assert one.average == pytest.approx(wanted)


def test_it_falls_while_nothing_waits_as_if_packets_came():
    one = made("red,min=1MB,max=2MB")
    for number in range(500):
        one.enqueue(0, packet(number, 1000))
    for _ in range(500):
        one.dequeue(5 * MS)
    before, typical = one.average, TYPICAL / RATE
    one.enqueue(85 * MS, packet(1, 1000))
    assert one.average == pytest.approx(before * (1 - WEIGHT) ** (0.08 / typical))


def at(average, count, text="red,min=30kB,max=90kB,probability=2%", head=b"", seed=1):
    """The numbers of the packets that are dropped, and marked, where the average stays at a value."""
    one, dropped, marks = made(text, seed=seed), [], []
    for number in range(count):
        one.average, one._idle = average, None
        one.bytes = int(average)
        gone = one.enqueue(0, packet(number, head=head))
        dropped += [number] * len(gone)
        marks += [number] * (not gone and ecn(one.waiting[-1][1][5]) == CE)
    return dropped, marks


@pytest.mark.parametrize("average", [45_000, 60_000, 85_000])
def test_gaps_between_drops_are_uniform(average):
    """Section 7: with p_b / (1 - count p_b) the number of packets to the next drop is uniform in 1 .. 1 / p_b."""
    chance = 0.02 * (average - 30_000) / 60_000
    dropped, _ = at(average, 200_000)
    gaps = [after - before for before, after in pairwise(dropped)]
    assert max(gaps) <= 1 / chance + 1
    assert fmean(gaps) == pytest.approx((1 / chance + 1) / 2, rel=0.05)
    quarter = sum(gap <= 0.25 / chance for gap in gaps) / len(gaps)
    assert quarter == pytest.approx(0.25, abs=0.04)


def test_thresholds():
    assert at(29_000, 1000) == ([], [])
    assert at(91_000, 1000) == (list(range(1000)), [])


@pytest.mark.parametrize("average", [60_000, 91_000])
def test_ecn(average):
    dropped, marks = at(average, 10_000, head=ECT)
    assert not dropped
    assert marks == at(average, 10_000)[0]
    assert at(average, 10_000, "red,min=30kB,max=90kB,probability=2%,ecn=no", ECT) == (marks, [])


def test_a_seed_repeats_the_same_drops():
    assert at(60_000, 10_000, seed=3) == at(60_000, 10_000, seed=3) != at(60_000, 10_000, seed=4)


def test_the_buffer_bounds_it():
    one = made("red", limit=150_000)
    assert sum(len(one.enqueue(0, packet(number, 1500))) for number in range(120)) >= 20
    assert one.bytes <= 150_000


@pytest.mark.parametrize("asks", [False, True])
def test_tcp_is_kept_between_the_thresholds(asks):
    """30 and 90 kB are 24 and 72 ms at 10 Mbit/s."""
    (flow,), _ = run("red,min=30kB,max=90kB,probability=10%", 2_500_000, ecn_flows=asks)
    late = flow.sojourns[len(flow.sojourns) // 2 :]
    assert 10 * MS < fmean(late) < 72 * MS
    assert flow.delivered > 0.85 * 20 * RATE / 1514
    assert bool(flow.marked) == asks
