"""Writes collectives-R.jsonl: each collective of a rank with its start and duration (docs/runs.md)."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.run_files import Lines
from harness.training.collectives.flight_recorder import READ_AT, CollectiveCall, FlightLog
from harness.training.collectives.profiler import GlooProfiler
from harness.training.collectives.times import BETWEEN_TWO, Span, timed

_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 4.0
"""Seconds of records that a rank loses when it is killed."""
_SETTLE_SECONDS: Final = 0.001
_GRACE_SECONDS: Final = 0.05
"""How long the profiler stays off: a collective that began before it was off and ends after it is on again crashes
torch, which writes its end into freed memory. gloo's thread writes that end just after the rank has continued."""
_SHARE: Final = 0.01
"""The share of time that reading may take."""
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode
_BETWEEN_TWO: Final = (
    "this job sends and receives: its collectives are not timed from now on, because torch crashes if its profiler"
    " starts while a receive is under way, and does not tell whether one is"
)
_YIELDED: Final = "this script uses torch's profiler: collectives are not timed meanwhile"


def pause(count: int, elapsed: float, cost: float) -> float:
    """Seconds until the collectives should be read again.

    At the recent rate, nothing is overwritten until then, unless reading would take more than a small share of the
    time: then some are missed.

    Args:
        count: collectives since the last reading, missed ones included.
        elapsed: seconds since the last reading.
        cost: seconds that this reading took.
    """
    full = READ_AT * elapsed / count if count else _LONGEST_PAUSE
    return max(min(full, _LONGEST_PAUSE), cost / _SHARE)


def report(text: str) -> None:
    """Print a line on standard error."""
    print(f"harness: {text}", file=sys.stderr, flush=True)


def no_step(_: float) -> int | None:
    """For jobs whose steps are not known."""
    return None


class CollectiveLog:
    """Reads and writes the collectives of this process at intervals: ``cut``, then ``write``.

    It never fails the job: it reports once what cannot be timed or written.

    Args:
        folder: of collectives-R.jsonl; None: collectives are only counted.
        rank: R.
        say: reports a problem.
        settled: whether no send or receive is ever under way at a ``cut``.

    Raises:
        ImportError, AttributeError: this torch has no flight recorder.
    """

    def __init__(
        self, folder: Path | None, rank: int, say: Callable[[str], None] = report, *, settled: bool = False
    ) -> None:
        self._flight, self._rank, self._say, self._said = FlightLog(), rank, say, set[str]()
        self._file = self._open(folder / f"collectives-{rank}.jsonl") if folder else None
        self._profiler = self._make_profiler() if self._file else None
        self._sizes: dict[str, int] = {}
        self._groups = 0
        self._resume_at: float | None = None
        """When the profiler starts again; None: it is on, or stays off."""
        self._stays_off, self._settled = False, settled
        self._cost = 0.0
        self._spans: list[Span] = []
        self._since, self._until = 0.0, 0.0 if self._profiler else math.inf
        """The interval of the spans."""
        self._later: list[CollectiveCall] = []
        """Calls that are not written yet."""
        self._counted: list[CollectiveCall] = []
        self._missed, self._unwritten = 0, 0
        self._read_at = self._due_at = time.perf_counter()

    def _open(self, path: Path) -> Lines | None:
        try:
            return Lines(path)
        except HarnessError as error:
            self._report(f"{error}: collectives are not written one by one")
            return None

    def _make_profiler(self) -> GlooProfiler | None:
        try:
            return GlooProfiler()
        except (ImportError, AttributeError, TypeError) as error:
            self._report(f"single collectives are not timed, torch's profiler has changed: {error}")
            return None

    def begin(self, *, forget: bool = True) -> None:
        """Begin, in the main thread.

        Args:
            forget: whether to ignore earlier collectives.
        """
        if forget:
            self._flight.forget()
        self._groups = 0  # another group may have the name of one that is gone
        self.resume()
        self._read_at = time.perf_counter()
        self._due_at = self._read_at + _FIRST_PAUSE

    def is_due(self, now: float) -> bool:
        """Whether it is time to read, and no collective is under way.

        Args:
            now: by time.perf_counter.
        """
        self._find_ranks()
        if now < self._due_at:
            return False
        return not self._flight.busy()

    def is_off(self, now: float) -> bool:
        """Whether ``resume`` is due after ``cut``."""
        return self._resume_at is not None and now >= self._resume_at

    def resume(self) -> None:
        """Time collectives again, in the main thread."""
        self._resume_at = None
        if self._profiler:
            self._profiler.start()
            if self._profiler.yielded:
                self._report(_YIELDED)
                self._resume_at = time.perf_counter() + _LONGEST_PAUSE

    def cut(self, *, last: bool = False) -> bool:
        """Take the profiler's spans and stop it, in the main thread; not while a collective is under way.

        Args:
            last: whether recording ends.

        Returns:
            Whether there is something to ``write``.
        """
        if not self._profiler:
            return True
        if not last:
            time.sleep(_SETTLE_SECONDS)
            if self._flight.busy():
                return False
        began = time.perf_counter()
        self._since, self._until = self._profiler.since, math.inf if last else time.time()
        self._spans += self._profiler.stop()
        if self._profiler.yielded:
            self._report(_YIELDED)
        if not self._settled and any(span.op in BETWEEN_TWO for span in self._spans):
            self._stays_off, self._resume_at = True, None
            if not last:
                self._report(_BETWEEN_TWO)
        elif self._resume_at is None and not self._stays_off:
            self._resume_at = time.perf_counter() + _GRACE_SECONDS
        self._cost = time.perf_counter() - began
        return True

    def count(self) -> tuple[list[CollectiveCall], int]:
        """The flight recorder's collectives since the last call, and how many it has missed."""
        self._read()
        counted, missed = (self._counted, self._missed)
        self._counted, self._missed = [], 0
        return counted, missed

    def _read(self) -> int:
        new, missed = self._flight.read()
        self._later += new
        self._counted += new
        self._missed += missed
        self._unwritten += missed
        return len(new) + missed

    def write(self, step_at: Callable[[float], int | None] = no_step) -> None:
        """Write the collectives until the last ``cut``, and decide when the next one is due.

        Args:
            step_at: gives the step at a time in seconds since the epoch.
        """
        began, since = time.perf_counter(), self._read_at
        self._read_at, number = began, self._read()
        calls = [call for call in self._later if call.time <= self._until]
        self._later = [call for call in self._later if call.time > self._until]
        if self._file:
            lines = [one.line(step_at(one.start)) for one in timed(calls, self._spans, self._since, self._sizes)]
            missed, self._unwritten = self._unwritten, 0
            self._add([*lines, *([{"missed": missed, "time": time.time()}] if missed else [])])
        self._spans = []
        now = time.perf_counter()
        cost, self._cost = self._cost + now - began, 0.0
        self._due_at = now + pause(number, began - since, cost)

    def finish(self, step_at: Callable[[float], int | None] = no_step) -> None:
        """Write what is left, in the main thread, also collectives that are under way."""
        self.cut(last=True)
        self.write(step_at)
        self.close()

    def close(self) -> None:
        """Write no more."""
        if self._profiler:
            self._profiler.stop()
        if self._file:
            self._file.close()

    def _find_ranks(self) -> None:
        """Note the sizes of process groups, which may be gone when their collectives are read."""
        from torch.distributed import distributed_c10d

        groups = getattr(getattr(distributed_c10d, "_world", None), "pg_names", {})
        if len(groups) != self._groups:
            self._groups = len(groups)
            self._sizes |= {name: group.size() for group, name in list(groups.items())}

    def _add(self, lines: list[dict[str, Any]]) -> None:
        if not lines or not self._file:
            return
        try:
            self._file.write("\n".join(_ENCODE(line) for line in lines).encode())
        except HarnessError as error:
            self._report(f"{error}: collectives are no longer written one by one")
            self._file.close()
            self._file = None

    def _report(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(f"rank {self._rank}: {text}")
