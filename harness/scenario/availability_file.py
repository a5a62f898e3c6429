"""Availability traces: a CSV file with the times at which nodes leave and come back.

::

    time_s,event,node
    12.5,remove,3
    40,add,3

``time_s`` or ``time_ms`` is the ascending time since the event began. A node is available until its first ``remove``;
a node whose first line is ``add`` is away until then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.errors import InputError, quoted
from harness.model.units import is_whole_number
from harness.scenario.absence import Absence, Chosen
from harness.scenario.csv_table import read_table

_CLOCKS: Final = {"time_s": 1.0, "time_ms": 1000.0}
_COLUMNS: Final = ("event", "node")


def read_availability(path: Path, verb: str) -> tuple[list[Absence], float]:
    """The absences, ascending, and the time of the last line in seconds.

    Args:
        path: of the file.
        verb: what happens to a node that leaves, for people.

    Raises:
        InputError: the file is missing or wrong; with file and line.
    """
    table = read_table(path, "an availability trace")
    clock = next((name for name in table.heading if name in _CLOCKS), "time_s")
    if sorted(table.heading) != sorted((clock, *_COLUMNS)):
        raise InputError(f"{table.place}: the heading is {','.join(table.heading)}; write time_s,event,node")
    left: dict[int, float] = {}
    seen: set[int] = set()
    absences: list[Absence] = []
    last = 0.0
    for place, cells in table.lines:
        line = dict(zip(table.heading, cells, strict=True))
        at = float(table.number(place, line[clock])) / _CLOCKS[clock]
        if at < last:
            raise InputError(f"{place}: time {line[clock]} is before that of the line above")
        last = at
        if not is_whole_number(line["node"]):
            raise InputError(f"{place}: {quoted(line['node'])} is not a node; write its rank")
        rank, event = int(line["node"]), line["event"]
        if event not in ("add", "remove"):
            raise InputError(f"{place}: {quoted(event)} is neither add nor remove")
        away = rank in left or (event == "add" and rank not in seen)
        if away is (event == "remove"):
            raise InputError(f"{place}: node {rank} is {'away' if away else 'there'} already")
        seen.add(rank)
        if event == "remove":
            left[rank] = at
            continue
        began = left.pop(rank, 0.0)
        if at > began:
            absences.append(_absence(verb, rank, began, at - began))
    absences += [_absence(verb, rank, began, None) for rank, began in left.items()]
    return sorted(absences, key=lambda absence: absence.after), last


def _absence(verb: str, rank: int, after: float, lasts: float | None) -> Absence:
    return Absence(after, Chosen((rank,)), lasts, f"{verb} node {rank}")
