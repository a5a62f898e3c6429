"""Counts the collectives that ran, from torch's own flight recorder: torch.distributed is not wrapped or replaced.

The recorder keeps the last N collectives and point-to-point transfers of this process (torch/csrc/distributed/c10d/
FlightRecorder.hpp; gloo has it too). Entries that were overwritten before they were read are counted as missed.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

_KEPT: Final = 512
"""Reading all of them takes 20 ms of a core, and more on a busy machine."""
_READ_AT: Final = 300
"""Collectives after which to read, before some are overwritten."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 10.0
_SHARE: Final = 0.01
"""Share of the time that reading may take."""
_WIDTHS: Final = {
    "Double": 8, "Long": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Short": 2, "Byte": 1, "Char": 1, "Bool": 1,
}  # fmt: skip


def enable(environment: MutableMapping[str, str]) -> None:
    """Make torch record; call it before the process group is made."""
    environment.setdefault("TORCH_FR_BUFFER_SIZE", str(_KEPT))


def summed(entries: Iterable[Mapping[str, Any]], after: int) -> tuple[dict[str, dict[str, int]], int, int]:
    """Sum up the entries that are newer than the one with the id ``after``.

    Returns:
        Count and bytes of input tensors by operation; how many entries were missed; the newest id.
    """
    ops: dict[str, dict[str, int]] = {}
    seen, newest = 0, after
    for entry in entries:
        if entry["record_id"] <= after:
            continue
        seen += 1
        newest = max(newest, entry["record_id"])
        name = str(entry["profiling_name"]).partition(":")[2] or str(entry["profiling_name"])
        one = ops.setdefault(name, {"count": 0, "bytes": 0})
        one["count"] += 1
        for size, dtype in zip(entry["input_sizes"], entry["input_dtypes"], strict=False):
            one["bytes"] += math.prod(size) * _WIDTHS.get(dtype, 0)
    return ops, newest - after - seen, newest


def pause(count: int, elapsed: float, cost: float) -> float:
    """Seconds until the recorder should be read again.

    Soon enough that nothing is overwritten at the recent rate, but never so often that reading takes more than a small
    share of the time: then some entries are missed.

    Args:
        count: collectives since the last reading, missed ones included.
        elapsed: seconds since the last reading.
        cost: seconds that this reading took.
    """
    full = _READ_AT * elapsed / count if count else _LONGEST_PAUSE
    return max(min(full, _LONGEST_PAUSE), cost / _SHARE)


class FlightLog:
    """Reads the recorder at intervals."""

    def __init__(self) -> None:
        from torch._C import _distributed_c10d

        self._dump: Callable[[bool, bool], str] = _distributed_c10d._dump_fr_trace_json  # type: ignore[attr-defined]
        self._newest = -1
        self.forget()

    def forget(self) -> None:
        """Ignore all entries so far, and start the estimate of their rate again."""
        self._newest = max((entry["record_id"] for entry in self._entries()), default=self._newest)
        self._read_at = time.perf_counter()
        self._due_at = self._read_at + _FIRST_PAUSE

    def is_due(self, now: float) -> bool:
        """Whether it is time to read.

        Args:
            now: by time.perf_counter.
        """
        return now >= self._due_at

    def take(self) -> tuple[dict[str, dict[str, int]], int]:
        """Count and bytes by operation since the last call; and how many entries were missed."""
        began = time.perf_counter()
        before = self._newest
        ops, missed, self._newest = summed(self._entries(), before)
        now = time.perf_counter()
        self._due_at = now + pause(self._newest - before, began - self._read_at, now - began)
        self._read_at = began
        return ops, missed

    def _entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = json.loads(self._dump(True, False)).get("entries", [])
        return entries
