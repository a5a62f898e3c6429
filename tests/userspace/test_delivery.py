"""A packet-delivery trace on a real link: in each second comes what the trace allows."""

import pytest

from benchmarks.delivery import WITHIN, arrivals, best
from harness.shaping.userspace.engine import UserspaceEngine

pytestmark = [pytest.mark.links, pytest.mark.namespaces, pytest.mark.nfqueue]
SECONDS, TRIES = 5, 3


@pytest.mark.timing
def test_each_second_brings_what_the_trace_allows():
    """``python -m benchmarks delivery`` for 60 s: 1.3 % at most. A machine that stalls is measured again."""
    for _ in range(TRIES):
        found = best(*arrivals(UserspaceEngine(), SECONDS), SECONDS)
        if max(map(abs, found)) <= WITHIN:
            return
    assert max(map(abs, found)) <= WITHIN, found
