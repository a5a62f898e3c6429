"""Measures nodes' shares of a CPU by programs that only compute."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from harness.backends.base import Backend, Stdio
from harness.errors import NodeError
from harness.linux.cgroup import quota_us
from harness.model.cpu import CpuShare
from harness.model.status import CpuStatus
from harness.verify.caps import CapPlace
from harness.verify.machine_load import cpu_times, idle_cores
from harness.verify.verdict.capacity import CapVerdict
from harness.verify.verdict.cpu import CpuMeasurement, judge_cpu

_SECONDS: Final = 1.0
_PERIODS: Final = 25
"""The least number of the kernel's quota periods."""
_PATIENCE_S: Final = 60.0
"""For the start of Python, which takes 0.05 s of a core."""
_BUSY: Final = """
import json, os, sys, time
seconds, processes = float(sys.argv[1]), int(sys.argv[2])
reader, writer = os.pipe()
begin = time.monotonic()
mine = all(os.fork() for _ in range(processes - 1))
used = time.process_time()
while time.monotonic() < begin + seconds:
    pass
os.write(writer, b"%020d" % ((time.process_time() - used) * 1e9))
if not mine:
    os._exit(0)
cpu_s = sum(int(os.read(reader, 20)) for _ in range(processes)) / 1e9
print(json.dumps({"cpu_s": cpu_s, "seconds": time.monotonic() - begin}))
"""
"""As many processes as it takes to use up the share; prints the CPU time of all of them."""


@dataclass(frozen=True)
class _Running:
    rank: int
    process: subprocess.Popen[bytes]
    seconds: float

    def answer(self) -> dict[str, float]:
        try:
            output, errors = self.process.communicate(timeout=self.seconds + _PATIENCE_S)
            found: dict[str, float] = json.loads(output)
            return found
        except subprocess.TimeoutExpired:
            cause = f"no answer within {self.seconds + _PATIENCE_S:.0f} s"
        except ValueError:
            cause = errors.decode(errors="replace").strip() or f"its program ended with code {self.process.returncode}"
        raise NodeError(self.rank, "measure its CPU", cause)


def measured_cpus(
    backend: Backend, shares: Mapping[int, CpuShare], held: Mapping[int, CpuStatus | None]
) -> Iterator[CapVerdict]:
    """The rows of these nodes, measured in groups that need at most half of this machine's cores.

    Args:
        backend: of the nodes.
        shares: as requested, by rank.
        held: the kernel's status, by rank.

    Raises:
        NodeError: a program cannot start, or dies.
    """
    for group in rounds_of(shares, (os.cpu_count() or 1) / 2):
        before = cpu_times()
        running = list[_Running]()
        try:
            for rank in group:
                running.append(_start(backend, rank, shares[rank]))
            answers = {one.rank: one.answer() for one in running}
        finally:
            for one in running:
                one.process.kill()
                one.process.communicate()
        idle = idle_cores(before, cpu_times())
        for rank, answer in answers.items():
            status = held.get(rank)
            measured = CpuMeasurement(answer["cpu_s"], answer["seconds"], idle)
            yield judge_cpu(CapPlace("cpu", rank), shares[rank], status.applied if status else None, measured)


def rounds_of(shares: Mapping[int, CpuShare], cores: float) -> list[list[int]]:
    """Groups of ranks whose shares together are at most that many cores, or of one rank."""
    groups: list[list[int]] = []
    free = 0.0
    for rank, share in sorted(shares.items()):
        if not groups or float(share) > free:
            groups.append([])
            free = cores
        groups[-1].append(rank)
        free -= float(share)
    return groups


def _start(backend: Backend, rank: int, share: CpuShare) -> _Running:
    seconds = max(_SECONDS, _PERIODS * quota_us(share)[1] / 1e6)
    argv = [backend.python, "-I", "-S", "-c", _BUSY, str(seconds), str(math.ceil(float(share)))]
    stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, subprocess.PIPE)
    return _Running(rank, backend.spawn(rank, argv, env=dict(backend.environ), stdio=stdio, cwd="/"), seconds)
