"""Reads torch's own flight recorder: which collectives a process called, when, and how large they were.

The recorder keeps the last N collectives of this process (torch/csrc/distributed/c10d/FlightRecorder.hpp). For gloo it
has the time of the call, but not of completion, and no send or recv. Collectives that were overwritten before they were
read are counted as missed.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

BUFFER: Final = "TORCH_FR_BUFFER_SIZE"
KEPT: Final = 256
"""Entries that the recorder keeps; reading them takes 1.4 ms of a core, even if none is new."""
READ_AT: Final = 200
"""Read after so many collectives, before some are overwritten."""
WIDTHS: Final = {
    "Double": 8, "Long": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Short": 2, "Byte": 1, "Char": 1, "Bool": 1,
}  # fmt: skip
_UNNAMED: Final = ("", "undefined")
_NANO: Final = 1e-9


def enable(environment: MutableMapping[str, str]) -> None:
    """Make torch record; call it before the process group is made."""
    environment.setdefault(BUFFER, str(KEPT))


@dataclass(frozen=True)
class CollectiveCall:
    """A collective that this rank called.

    Args:
        op: e.g. ``all_reduce``.
        backend: e.g. ``gloo``; empty if not known.
        time: of the call, seconds since the epoch.
        elements: of its input tensors.
        bytes: of its input tensors, except those of a type with unknown width.
        group: the process group's description, or its name if it has none.
        name: the process group's name in torch.
    """

    op: str
    backend: str
    time: float
    elements: int
    bytes: int
    group: str
    name: str


def call_of(entry: Mapping[str, Any]) -> CollectiveCall:
    """The call that an entry of the recorder describes."""
    backend, colon, op = str(entry["profiling_name"]).partition(":")
    counts = [math.prod(size) for size in entry["input_sizes"]]
    widths = [WIDTHS.get(dtype, 0) for dtype in entry["input_dtypes"]]
    name, description = (str(part) for part in entry["process_group"])
    return CollectiveCall(
        op=op if colon else backend,
        backend=backend if colon else "",
        time=entry["time_created_ns"] * _NANO,
        elements=sum(counts),
        bytes=sum(one * width for one, width in zip(counts, widths, strict=False)),
        group=name if description in _UNNAMED else description,
        name=name,
    )


def summed(calls: Iterable[CollectiveCall]) -> dict[str, dict[str, int]]:
    """Count and bytes of input tensors by operation."""
    ops: dict[str, dict[str, int]] = {}
    for call in calls:
        one = ops.setdefault(call.op, {"count": 0, "bytes": 0})
        one["count"] += 1
        one["bytes"] += call.bytes
    return ops


def newer(entries: Iterable[Mapping[str, Any]], after: int) -> tuple[list[CollectiveCall], int, int]:
    """The calls since the one with the id ``after``; how many were missed; the newest id."""
    new = [entry for entry in entries if entry["record_id"] > after]
    newest = max((int(entry["record_id"]) for entry in new), default=after)
    return [call_of(entry) for entry in new], newest - after - len(new), newest


class FlightLog:
    """Reads the recorder."""

    def __init__(self) -> None:
        from torch._C import _distributed_c10d

        self._torch: Any = _distributed_c10d
        self._newest = -1

    def forget(self) -> None:
        """Ignore all entries so far."""
        self.read()

    def read(self) -> tuple[list[CollectiveCall], int]:
        """The calls since the last reading, and how many were missed."""
        entries = pickle.loads(self._torch._dump_fr_trace(True, False, False)).get("entries", [])  # half of JSON's cost
        calls, missed, self._newest = newer(entries, self._newest)
        return calls, missed

    def busy(self) -> bool:
        """Whether a collective is under way; takes some microseconds.

        For a group of one rank, torch does not count completed collectives.
        """
        groups = json.loads(self._torch._dump_fr_trace_json(False, False)).get("pg_status", {}).values()
        states = ((int(one["last_completed_collective"]), int(one["last_enqueued_collective"])) for one in groups)
        return any(0 <= done < called for done, called in states)
