"""A class of an htb tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class HtbClass:
    """An htb class as the kernel has it: rates in byte/s, buckets in ticks, quantum and overhead in bytes.

    Only classes with a leaf have a quantum.
    """

    rate: int
    ceil: int
    bucket: int
    ceil_bucket: int
    quantum: int
    overhead: int = 0


_UNLIMITED_BYTE_S: Final = 20 * 10**9 // 8
_TICKS: Final = 160 * 1000 // 64
"""Bucket of a class that never limits, 160 us: 400 kB at 20 Gbit/s, which does not limit as measured."""
_QUANTUM: Final = 60_000


def never_limiting(rate_byte_s: int = 0) -> HtbClass:
    """A class with a leaf that does not limit a flow of that rate."""
    rate = max(_UNLIMITED_BYTE_S, 2 * rate_byte_s)
    return HtbClass(rate, rate, _TICKS, _TICKS, _QUANTUM)
