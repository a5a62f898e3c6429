"""The file that says which ranks are away from a job; a scenario's player writes it, and the launcher reads it.

It is beside the network's registration, and is removed with it. The record of a run has the same lines in away.jsonl::

    {"time": 1732736400.1, "rank": 2, "what": "kill", "until": 1732736420.1}
    {"time": 1732736420.1, "rank": 2, "what": "back", "until": null, "of": "kill"}
    {"time": 1732736420.2, "rank": 2, "what": "restarted", "until": null}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from harness.run_files import AWAY, append_json

OVERDUE_S: Final = 10.0
"""Seconds after its time for which the launcher waits for a rank; then the player has ended."""

Cause = Literal["kill", "pause", "cut"]
CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)
What = Literal["kill", "pause", "cut", "back", "failed", "restarted"]


@dataclass(frozen=True)
class AwayLine:
    """What happened to a rank.

    Args:
        time: seconds since the epoch.
        rank: of the node.
        what: by a scenario, ``kill``, ``pause``, ``cut`` or ``back``; by the launcher, ``failed`` (by itself, and the
            other ranks continue) or ``restarted``.
        until: when the rank will be back, seconds since the epoch; None: that is not planned.
        of: the absence that a ``back`` ends.
        at: when it was due, in seconds from the scenario's start.
    """

    time: float
    rank: int
    what: What
    until: float | None = None
    of: Cause | None = None
    at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        line = {"time": self.time, "rank": self.rank, "what": self.what, "until": self.until}
        more = {"of": self.of, "at": self.at}
        return line | {name: value for name, value in more.items() if value is not None}


class AwayFile:
    """The file of one network.

    Args:
        path: of the file, which need not exist.
        run: returns the folder of the run that is being recorded, or None.
    """

    def __init__(self, path: Path, run: Callable[[], Path | None] = lambda: None) -> None:
        self._path, self._run = path, run
        self._read = path.stat().st_size if path.is_file() else 0

    def write(self, line: AwayLine) -> None:
        """Add a line. Raises HarnessError."""
        append_json(self._path, line.to_json())
        if (folder := self._run()) is not None:
            append_json(folder / AWAY, line.to_json())

    def news(self) -> list[AwayLine]:
        """The complete lines since the last call, or since this object was made."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:
            return []
        self._read += len(whole) + len(newline)
        return [AwayLine(**json.loads(line)) for line in whole.splitlines()]


@dataclass
class Absences:
    """Which ranks a scenario has killed; pure. Times are those of time.monotonic()."""

    killed: dict[int, float | None] = field(default_factory=dict)
    """By rank, until it is started again: when it will be back, or None."""
    due: set[int] = field(default_factory=set)
    """The killed ranks that must be started again."""

    def take(self, lines: Iterable[AwayLine], now: float) -> set[int]:
        """Take new lines; the ranks that they kill."""
        newly = set()
        for line in lines:
            if line.what == "kill":
                newly.add(line.rank)
                self.killed[line.rank] = None if line.until is None else now + line.until - line.time
                self.due.discard(line.rank)
            elif line.what == "back" and line.of == "kill" and line.rank in self.killed:
                self.due.add(line.rank)
        return newly

    def forget(self, rank: int) -> None:
        """Count a rank as killed no more: it runs again, or had ended by itself."""
        self.killed.pop(rank, None)
        self.due.discard(rank)

    def expects(self, now: float) -> bool:
        """Whether a killed rank will be back."""
        return bool(self.due) or any(back is not None and now < back + OVERDUE_S for back in self.killed.values())
