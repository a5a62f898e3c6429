"""Which nodes one shaper daemon looks after, and when one is taken to stand still."""

import os
import socket
import time

import pytest

from harness.shaping.userspace import supervisor
from harness.shaping.userspace.supervisor import START_SECONDS, STILL_SECONDS, shares


@pytest.mark.parametrize(
    ("ranks", "together", "most", "expected"),
    [
        (5, [], 2, [[0, 2, 4], [1, 3]]),
        (5, [], 0, [[0, 1, 2, 3, 4]]),
        (2, [], 8, [[0], [1]]),
        (6, [[3, 4, 5]], 2, [[3, 4, 5], [0, 1, 2]]),
        (8, [[0, 1, 2], [3, 4, 5]], 2, [[0, 1, 2, 6], [3, 4, 5, 7]]),
        (4, [[0, 1], [2, 3]], 8, [[0, 1], [2, 3]]),
        (3, [[0, 1, 2]], 4, [[0, 1, 2]]),
    ],
)
def test_groups_stay_whole_and_parts_are_of_about_one_size(ranks, together, most, expected):
    assert shares(range(ranks), together, most) == expected


@pytest.mark.parametrize(
    ("since_start", "since_beat", "still"),
    [
        (STILL_SECONDS + 1, None, False),
        (START_SECONDS - 1, None, False),
        (START_SECONDS + 1, None, True),
        (100, STILL_SECONDS - 1, False),
        (100, STILL_SECONDS + 1, True),
        (STILL_SECONDS + 1, 200, False),
    ],
    ids=["slow start", "very slow start", "never began", "alive", "stopped", "beat of the one before"],
)
def test_one_that_starts_may_take_longer_than_one_that_runs_may_be_silent(monkeypatch, since_start, since_beat, still):
    monkeypatch.setattr(supervisor, "listen_in", lambda _: socket.socket())
    worker = supervisor._Shaper({0: None}, 1)
    worker.born = worker.started = time.monotonic() - since_start
    if since_beat is not None:
        os.pwrite(worker.state, int((time.monotonic() - since_beat) * 1e9).to_bytes(8, "little"), 0)
    assert worker.still() == still
