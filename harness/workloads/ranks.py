"""A gloo process group, and what its ranks agree on."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError, UnavailableError

_SOURCE_PLACE: Final = re.compile(r"^(\[[^]]*\.cc?p?p?:\d+\] ?)+")
"""What gloo's and torch's messages begin with: ``[/pytorch/.../pair.cc:537] ``."""


class Ranks:
    """The process group, and what ranks agree on."""

    def __init__(self, environment: Mapping[str, str], timeout: float) -> None:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
        try:
            import torch
            import torch.distributed as dist
        except ImportError as error:
            raise UnavailableError(f"PyTorch is missing ({error}); install torch==2.13.0+cpu") from None
        torch.set_num_threads(1)
        self.torch: Any = torch
        self.dist: Any = dist
        self.rank = int(environment["RANK"])
        self.size = int(environment["WORLD_SIZE"])
        where = f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}"
        with blamed(self.rank, f"connecting {self.size} ranks at {where}"):
            dist.init_process_group("gloo", timeout=timedelta(seconds=timeout))
            clock = _clock_identity()
            self.shared_clock = self.largest([clock, -clock]) == [clock, -clock]
            self._waits: deque[float] = deque(maxlen=4)
            self._wait = 0.0
            for _ in range(3):
                self.start()

    def largest(self, values: Iterable[float]) -> list[float]:
        """Of each value the largest of any rank."""
        tensor = self.torch.tensor(list(values), dtype=self.torch.float64)
        self.dist.all_reduce(tensor, op=self.dist.ReduceOp.MAX)
        return list(tensor.tolist())

    def start(self) -> float:
        """Return at the same moment on all ranks; that moment by this process's clock.

        The margin is half as long again as the ranks last needed to hear from each other.
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
        return (self.torch.arange(count) % 5 + base).to(self.torch.float32)

    def empty(self, count: int) -> Any:
        """An array to be filled."""
        return self.torch.empty(count, dtype=self.torch.float32)

    def sum_of_all(self, count: int) -> Any:
        """The sum of numbers(count, rank) over all ranks."""
        return (self.torch.arange(count) % 5 * self.size + self.size * (self.size - 1) // 2).to(self.torch.float32)

    def blocks(self, block: int, base: Callable[[int], int]) -> Any:
        """For each rank its numbers, in order."""
        return self.torch.cat([self.numbers(block, base(rank)) for rank in range(self.size)])


def _clock_identity() -> int:
    """A number that two processes share where their perf_counter counts from the same moment: one boot, one offset."""
    texts = []
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/timens_offsets"):
        try:
            texts.append(Path(path).read_text())
        except OSError:
            texts.append("")
    return int.from_bytes(hashlib.sha256("".join(texts).encode()).digest()[:6], "big")


@contextmanager
def blamed(rank: int, action: str) -> Iterator[None]:
    """Any failure within ends as one line that names rank, action and cause."""
    try:
        yield
    except (HarnessError, OSError, RuntimeError, ValueError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        cause = _SOURCE_PLACE.sub("", line).partition(". This is typically ")[0]
        raise HarnessError(f"rank {rank}: {action}: {cause}") from error
