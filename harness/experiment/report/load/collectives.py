"""Reads collectives-R.jsonl: every timed collective of a rank."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.experiment.report.load.jsonl import Oddities, number, parsed, whole
from harness.experiment.report.load.rank_records import TimedCollective


def load_collectives(path: Path, oddities: Oddities) -> tuple[list[TimedCollective], int]:
    """The collectives by start, and how many more there were that the recorder missed; a missing file has none."""
    found = list(parsed(path, oddities, _collective))
    timed = sorted((one for one in found if isinstance(one, TimedCollective)), key=lambda one: one.start)
    return timed, sum(one for one in found if isinstance(one, int))


def _collective(record: Mapping[str, Any]) -> TimedCollective | int:
    if "op" not in record:
        return whole(record, "missed")
    return TimedCollective(
        op=sys.intern(str(record["op"])),
        start=number(record, "start"),
        seconds=None if record.get("seconds") is None else number(record, "seconds"),
        bytes=whole(record, "bytes", 0),
        ranks=whole(record, "ranks", 0),
        group=sys.intern(str(record.get("group", ""))),
        step=None if record.get("step") is None else whole(record, "step"),
    )
