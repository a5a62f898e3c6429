"""Which collectives have run, by torch's own flight recorder: nothing of torch.distributed is wrapped or replaced.

The recorder keeps the last N collectives and point-to-point transfers of this process (torch/csrc/distributed/c10d/
FlightRecorder.hpp; gloo has it too). What fell out of it before it was read is told as missed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

_KEPT: Final = 1024
_READ_AT: Final = 512
"""Collectives after which it is time to read, lest some fall out."""
_WIDTHS: Final = {
    "Double": 8, "Long": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Short": 2, "Byte": 1, "Char": 1, "Bool": 1,
}  # fmt: skip


def enable(environment: MutableMapping[str, str]) -> None:
    """Make torch record; to be called before the process group is made."""
    environment.setdefault("TORCH_FR_BUFFER_SIZE", str(_KEPT))


def summed(entries: Iterable[Mapping[str, Any]], after: int) -> tuple[dict[str, dict[str, int]], int, int]:
    """Entries newer than the one with the id ``after``: by operation how many and how many bytes; how many are missed
    between; the newest id. Bytes are those of the input tensors.
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


class FlightLog:
    """Reads the recorder now and then."""

    def __init__(self) -> None:
        from torch._C import _distributed_c10d
        from torch.distributed import distributed_c10d

        self._dump: Callable[[bool, bool], str] = _distributed_c10d._dump_fr_trace_json  # type: ignore[attr-defined]
        self._group = distributed_c10d._get_default_group()
        self._newest = -1
        self._read_at = 0

    @property
    def is_filling(self) -> bool:
        """Whether the next reading must not wait much longer; cheap."""
        return int(self._group._get_sequence_number_for_group()) - self._read_at >= _READ_AT

    def take(self) -> tuple[dict[str, dict[str, int]], int]:
        """What came since the last call: by operation how many and how many bytes; and how many were missed."""
        self._read_at = int(self._group._get_sequence_number_for_group())
        entries = json.loads(self._dump(True, False)).get("entries", [])
        ops, missed, self._newest = summed(entries, self._newest)
        return ops, missed
