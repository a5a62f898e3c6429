"""The process group of `harness bench`: its ranks start together, and know each other's test data."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.training.device import off_device, synchronize
from harness.training.group import ProcessGroup, blamed


class BenchRanks(ProcessGroup):
    """A process group whose ranks start together. Arguments and errors as ProcessGroup."""

    def __init__(
        self, environment: Mapping[str, str], timeout: float, device: str = "cpu", transport: str = "gloo"
    ) -> None:
        super().__init__(environment, timeout, device, transport)
        self._direct = self.device.type == "cpu" or transport == "nccl"
        with blamed(self.rank, "agreeing on a clock"):
            self.shared_clock = self.agreed(_clock_identity())
            self._waits: deque[float] = deque(maxlen=4)
            self._wait = 0.0
            for _ in range(3):
                self.start()

    def start(self) -> float:
        """Return at the same moment on all ranks: that moment, by this process's clock.

        The margin is 1.5 times the time of the last all_reduces.
        """
        last, wait = self.largest([time.perf_counter(), self._wait])
        if not self.shared_clock:
            return time.perf_counter()
        self._wait = time.perf_counter() - last
        self._waits.append(wait)
        moment = last + 1.5 * max(self._waits) + 0.0005
        time.sleep(max(0.0, moment - time.perf_counter()))
        return moment

    def numbers(self, count: int, base: int) -> Any:
        """base + 0, 1, 2, 3, 4, 0, 1, ...: small whole numbers, so that float32 sums are exact."""
        return (self.torch.arange(count, device=self.device) % 5 + base).to(self.torch.float32)

    def empty(self, count: int) -> Any:
        """An uninitialised array."""
        return self.torch.empty(count, dtype=self.torch.float32, device=self.device)

    def sum_of_all(self, count: int) -> Any:
        """The sum of numbers(count, rank) over all ranks."""
        each = self.torch.arange(count, device=self.device) % 5
        return (each * self.size + self.size * (self.size - 1) // 2).to(self.torch.float32)

    def settle(self) -> None:
        """Wait until the GPU has done all its work."""
        synchronize(self.device)

    def exchange(self, own: Any, out: Any, dst: int, src: int) -> None:
        """Send one array and receive another at the same time; gloo needs both in the machine's memory."""
        sent, received = (own, out) if self._direct else (off_device(own), self.torch.empty(out.shape, dtype=out.dtype))
        work = self.dist.isend(sent, dst)
        self.dist.recv(received, src)
        work.wait()
        if received is not out:
            out.copy_(received)

    def blocks(self, block: int, base: Callable[[int], int]) -> Any:
        """For each rank its numbers, in order."""
        return self.torch.cat([self.numbers(block, base(rank)) for rank in range(self.size)])


def _clock_identity() -> int:
    """A number that is equal in processes whose perf_counters start at the same moment: one boot, one offset."""
    texts = []
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/timens_offsets"):
        try:
            texts.append(Path(path).read_text())
        except OSError:
            texts.append("")
    return int.from_bytes(hashlib.sha256("".join(texts).encode()).digest()[:6], "big")
