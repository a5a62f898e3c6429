"""The shaper daemon's clocks: the kernel stamps packets by CLOCK_REALTIME, we delay them by the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

SECOND: Final = 10**9
"""In ns."""
NEVER: Final = 1 << 62
"""A time that does not come, ns."""
CLOSE_NS: Final = 10_000
TRIES: Final = 4


def ahead(
    monotonic: Callable[[], int] = time.monotonic_ns, realtime: Callable[[], int] = time.time_ns
) -> tuple[int, int]:
    """``(now, ahead)``, both in ns: the monotonic clock, and how far CLOCK_REALTIME is ahead of it.

    The machine or its host may stop the process between two readings (1 in 700 was over 0.1 ms apart on an idle virtual
    machine, the worst 1.9 ms). So it reads the monotonic clock before and after CLOCK_REALTIME, and again where these
    are over CLOSE_NS apart, TRIES times at most. The remaining error makes ``ahead`` too small, never too large: a
    packet may seem to have come later than it did, and so leave late, but never early.
    """
    best, answer = 1 << 62, (0, 0)
    before = monotonic()
    for _ in range(TRIES):
        real, after = realtime(), monotonic()
        if after - before < best:
            best, answer = after - before, (after, real - after)
            if best <= CLOSE_NS:
                break
        before = after
    return answer
