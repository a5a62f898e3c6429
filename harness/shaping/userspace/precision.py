"""Which links user space cannot make as exactly as `harness verify` demands; measured by benchmarks/engines.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from harness.model.format import format_rate, format_time
from harness.model.link import LinkShape
from harness.model.node_plan import PlannedEdge
from harness.model.units import Rate, Time

MIN_DELAY: Final = Time(1_000_000)
"""One way. Below, waking up takes as long as the link (an RTT of 1 ms measured as 1.3, with a tail of several ms)."""
MAX_RATE: Final = Rate(10**9)
MAX_JITTERED: Final = 100_000
"""Packets per second, all links of the machine together, where jitter reorders: each needs a verdict of its own."""
_NAMED: Final = 4


def _too_short(shape: LinkShape) -> bool:
    return 0 < shape.delay.ns < MIN_DELAY.ns


def _too_fast(shape: LinkShape) -> bool:
    return shape.mean_rate is not None and shape.mean_rate > MAX_RATE


def _too_many(shape: LinkShape) -> bool:
    return bool(shape.jitter.ns) and shape.mean_rate is None


_LIMITS: Final[tuple[tuple[Callable[[LinkShape], bool], str], ...]] = (
    (
        _too_short,
        f"a delay under {format_time(MIN_DELAY)}: it adds some 0.2 ms, and more on a busy machine",
    ),
    (_too_fast, f"a rate over {format_rate(MAX_RATE)}: a Python process handles every packet"),
    (
        _too_many,
        f"jitter without a rate for more than {MAX_JITTERED:,} packets/s of all links together: it drops the rest",
    ),
)


def precision_warnings(edges: Iterable[PlannedEdge]) -> list[str]:
    """One line for every limit that some of the edges exceed, naming them."""
    shaped, warnings = list(edges), []
    for is_beyond, what in _LIMITS:
        names = [str(edge) for edge in shaped if is_beyond(edge.shape)]
        if names:
            rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            warnings.append(f"the userspace engine does not promise {what} (on {', '.join(names[:_NAMED])}{rest})")
    return warnings
