"""Ranks that are away from a job, or back: lines that a scenario's player writes and the launch reads, and its own.

The file stands beside the network's registration and goes with it; the same lines are in away.jsonl of a run that is
recorded::

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
"""A rank that is not back so long after its time is no longer waited for: the player has ended."""

Cause = Literal["kill", "pause", "cut"]
CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)
What = Literal["kill", "pause", "cut", "back", "failed", "restarted"]


@dataclass(frozen=True)
class AwayLine:
    """One thing that happened to a rank.

    Args:
        time: seconds since the epoch.
        rank: whose.
        what: a scenario's ``kill``, ``pause`` and ``cut``, and ``back``; of the launch, ``failed`` (by itself, and the
            others go on) and ``restarted``.
        until: when a rank that is away will be back, seconds since the epoch; None: that is not planned.
        of: what a ``back`` is the end of.
        at: when a scenario wanted it, in seconds from its start, for the record.
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
    """The lines of one network.

    Args:
        path: of its file, which need not be there.
        run: gives the folder of the run that is being recorded, or None.
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
        """The whole lines that came since the last call, or since this object was made."""
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
    """Which ranks a scenario has killed, as far as lines tell; pure.

    Times are those of a clock that nobody sets (time.monotonic): a line says how long it is until a rank is back.
    """

    killed: dict[int, float | None] = field(default_factory=dict)
    """By rank, until it is started again: when it will be back, or None."""
    due: set[int] = field(default_factory=set)
    """Those of them that are to be started again."""

    def take(self, lines: Iterable[AwayLine], now: float) -> set[int]:
        """Follow these lines, which have just come; the ranks that they say were killed."""
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
        """This rank runs again, or had ended by itself."""
        self.killed.pop(rank, None)
        self.due.discard(rank)

    def expects(self, now: float) -> bool:
        """Whether a rank that was killed will be back."""
        return bool(self.due) or any(back is not None and now < back + OVERDUE_S for back in self.killed.values())
