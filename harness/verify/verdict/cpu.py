"""The verdict on a node's share of a CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from harness.linux.cgroup import quota_us
from harness.model.cpu import CpuShare
from harness.model.format import format_share
from harness.verify.caps import CapPlace
from harness.verify.verdict.capacity import CapVerdict

TOLERANCE: Final = 0.05
"""Of the share, for errors of the kernel's accounting by ticks."""
_TICK_S: Final = 0.01
"""The longest time between two updates of a process's CPU time (CONFIG_HZ=100)."""


@dataclass(frozen=True)
class CpuMeasurement:
    """The CPU time of programs that only compute.

    Args:
        cpu_s: of all of them together, in seconds.
        seconds: that passed.
        idle_cores: idle time meanwhile, in cores.
    """

    cpu_s: float
    seconds: float
    idle_cores: float


def judge_cpu(place: CapPlace, requested: CpuShare, applied: CpuShare | None, measured: CpuMeasurement) -> CapVerdict:
    """The row: it is ok within TOLERANCE, plus one quota and one tick, of the share that the kernel reports.

    It is machine-bound where other programs use the CPUs, so that the node cannot get its share.
    """
    held, got = None if applied is None else float(applied), measured.cpu_s / measured.seconds
    row = CapVerdict("cpu", float(requested), held, got, cap=place)
    if applied is not None:
        slack = (quota_us(applied)[0] / 1e6 + _TICK_S) / measured.seconds
        least, most = (1 - TOLERANCE) * float(applied) - slack, (1 + TOLERANCE) * float(applied) + slack
        row = replace(row, low=max(0.0, least), high=most, ok=least <= got <= most)
        if got < least and measured.idle_cores < least - got:
            row = replace(row, ok=True, machine_bound=True, note="other programs use this machine's CPUs")
    return row.compared(0.0, format_share)
