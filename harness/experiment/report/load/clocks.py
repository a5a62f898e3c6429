"""Converts times that ranks on several machines recorded to the clock of rank 0's machine (machines.json)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from harness.model.machines import FILE, Machines
from harness.run_files import read_json

_OF_RANK: Final = re.compile(r"(?:rank|collectives|links|flows)-(\d+)\.jsonl")
_TIMES: Final = ("time", "start")


def clock_ahead(path: Path) -> float:
    """Seconds that the clock of a record's machine was ahead of rank 0's; 0 where that is unknown.

    ``path``: of the record's file, in the folder of its run.
    """
    found = _OF_RANK.fullmatch(path.name)
    known = read_json(path.with_name(FILE)) if found else None
    if found is None or known is None:
        return 0.0
    try:
        return Machines.from_json(known).ahead(int(found[1]))
    except (LookupError, TypeError, ValueError):
        return 0.0


def by_clock_of_rank_0(record: Mapping[str, Any], ahead: float) -> dict[str, Any]:
    """The record, with its times as rank 0's clock would have shown them."""
    times = {name: record[name] - ahead for name in _TIMES if isinstance(record.get(name), int | float)}
    return {**record, **times}
