"""A class of an htb tree."""

from __future__ import annotations

from dataclasses import dataclass


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
