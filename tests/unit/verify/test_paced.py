"""The pace of a train on a machine that stands still: by a clock of the test's own."""

from itertools import pairwise

import pytest

from harness.verify.node import probe

MS = 10**6


@pytest.fixture
def clock(monkeypatch):
    """A clock that sleeping and sending move on, and nothing else."""
    time = {"ns": 0}
    monkeypatch.setattr(probe, "monotonic_ns", lambda: time["ns"])
    monkeypatch.setattr(probe, "sleep", lambda seconds: time.update(ns=time["ns"] + round(seconds * 1e9)))
    return time


def sent_at(clock, count, stalls, **options):
    """When each packet was sent; before those in ``stalls`` the machine stands still for so many ns."""
    times = []

    def send(index):
        clock["ns"] += stalls.get(index, 0)
        times.append(clock["ns"])

    assert probe._paced(count, MS, 10**9, send, **options) == count
    return times


def test_packets_leave_when_they_are_due(clock):
    assert sent_at(clock, 5, {}, gap_ns=MS // 2) == [0, MS, 2 * MS, 3 * MS, 4 * MS]


def test_what_is_late_follows_at_twice_the_pace_until_it_has_caught_up(clock):
    times = sent_at(clock, 20, {2: 5 * MS}, gap_ns=MS // 2)
    gaps = [second - first for first, second in pairwise(times[2:])]
    assert min(gaps[1:]) == MS // 2
    assert times[-1] == 19 * MS


def test_bursts_of_a_bulk_train_that_are_late_follow_at_once(clock):
    times = sent_at(clock, 10, {2: 5 * MS})
    assert times[2:8] == [7 * MS] * 6
