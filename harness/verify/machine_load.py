"""How busy this machine's CPUs are during a measurement, from /proc/stat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

CpuTimes = Sequence[tuple[int, int]]
"""(ticks in all, ticks idle or waiting for a disk) of each CPU since boot."""


def cpu_times() -> CpuTimes:
    """The current times (proc(5), /proc/stat); empty where they cannot be read."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    rows: list[list[Any]] = [line.split()[1:9] for line in lines if line.startswith("cpu") and line[3:4].isdigit()]
    return [(sum(map(int, row)), int(row[3]) + int(row[4])) for row in rows]


def busiest(before: CpuTimes, after: CpuTimes) -> float:
    """Share of the time for which the busiest CPU was busy; 0 where unknown."""
    return 1 - min(_idle_shares(before, after), default=1.0)


def idle_cores(before: CpuTimes, after: CpuTimes) -> float:
    """Idle time in cores; infinite where unknown."""
    shares = _idle_shares(before, after)
    return sum(shares) if shares else float("inf")


def _idle_shares(before: CpuTimes, after: CpuTimes) -> list[float]:
    return [
        (idle - idle_0) / (total - total_0)
        for (total_0, idle_0), (total, idle) in zip(before, after, strict=False)
        if total > total_0
    ]
