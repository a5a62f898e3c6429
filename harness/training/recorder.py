"""Writes rank-R.jsonl: one JSON object per line, without delay; docs/runs.md has the format."""

from __future__ import annotations

import bisect
import json
import math
import os
import time
from pathlib import Path
from typing import Any, Self

from harness.errors import HarnessError, InputError
from harness.run_files import Lines
from harness.training.collectives.flight_recorder import summed
from harness.training.collectives.log import CollectiveLog
from harness.training.strategies.base import CommClock
from harness.training.tasks.base import Score


class InterfaceCounters:
    """The kernel's byte counters of an interface; reading them takes some microseconds.

    Args:
        name: e.g. ``eth0``.
    """

    def __init__(self, name: str) -> None:
        folder = Path("/sys/class/net", name, "statistics")
        try:
            self._files = [os.open(folder / f"{way}_bytes", os.O_RDONLY) for way in ("tx", "rx")]
        except OSError as error:
            raise InputError(f"GLOO_SOCKET_IFNAME={name}: {error.strerror}; run this under 'harness run'") from None

    def read(self) -> tuple[int, int]:
        """Bytes sent and received, headers included."""
        sent, received = (int(os.pread(file, 32, 0)) for file in self._files)
        return sent, received


class Recorder:
    """Records the steps, evaluations and collectives of a rank; collectives-R.jsonl has each collective too.

    Args:
        folder: of rank-R.jsonl; None: nothing is written.
        rank: of this process.
        counters: of the node's interface.
        settled: whether no send or receive is under way between steps, as with all strategies that ship.

    Raises:
        InputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path | None, rank: int, counters: InterfaceCounters, *, settled: bool = True) -> None:
        self._counters, self._rank = counters, rank
        self._file = _open(folder, rank) if folder else None
        self._collectives = CollectiveLog(folder, rank, settled=settled)
        self._began = time.perf_counter()
        self._before = 0.0
        self._steps: list[tuple[float, float, int]] = []
        """Start, end (seconds since the epoch) and number of the steps since collectives were read."""
        self.last_seconds = 0.0, 0.0
        """Seconds of computing, and of waiting for communication, in the last step."""

    @property
    def elapsed(self) -> float:
        """Seconds of training in all attempts."""
        return self._before + time.perf_counter() - self._began

    def begin(self, elapsed: float = 0.0) -> None:
        """Start the clock; earlier collectives are not counted.

        Args:
            elapsed: seconds of training in earlier attempts.
        """
        self._collectives.begin()
        self._before, self._began = elapsed, time.perf_counter()
        self._bytes = self._counters.read()

    def start(self, **facts: Any) -> None:
        """Record the start of this attempt, or of its part in another process group."""
        self._write("start", **facts)

    def step(self, step: int, loss: float, seconds: float, clock: CommClock) -> None:
        """Record a step.

        Args:
            step: from 1.
            loss: of this rank's batch.
            seconds: duration of the step.
            clock: measured how much of that the rank waited.
        """
        ended = time.time()
        self._steps.append((ended - seconds, ended, step))
        before, self._bytes = self._bytes, self._counters.read()
        waiting = min(clock.take(), seconds)
        self.last_seconds = seconds - waiting, waiting
        self._write(
            "step",
            step=step,
            elapsed=self.elapsed,
            loss=_finite(loss),
            seconds=seconds,
            seconds_compute=seconds - waiting,
            seconds_comm=waiting,
            sent_bytes=self._bytes[0] - before[0],
            received_bytes=self._bytes[1] - before[1],
        )
        now = time.perf_counter()
        if self._collectives.is_off(now):
            self._collectives.resume()
        if self._collectives.is_due(now) and self._collectives.cut():
            self._collectives.write(self._step_at)
            self._steps.clear()
            self.collectives(step)

    def evaluation(self, step: int, score: Score, elapsed: float, seconds: float) -> None:
        """Record an evaluation.

        Args:
            step: the last one before it; 0: none.
            score: of this rank's model.
            elapsed: seconds of training before the evaluation.
            seconds: duration of the evaluation.
        """
        self._write(
            "eval", step=step, elapsed=elapsed, loss=_finite(score.loss), accuracy=score.accuracy, seconds=seconds
        )

    def leave(self, step: int) -> None:
        """Record the collectives of a process group that has ended after a step; ``begin`` continues in another one."""
        if self._collectives.cut(last=True):
            self._collectives.write(self._step_at)
        self._steps.clear()
        self.collectives(step)

    def end(self, step: int) -> None:
        """Record that all steps are finished."""
        self.leave(step)
        self._write("end", elapsed=self.elapsed, step=step)

    def close(self) -> None:
        """Write no more."""
        self._collectives.close()
        if self._file:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind:  # this records the collective that has failed, too
            self._collectives.finish(self._step_at)
        self.close()

    def collectives(self, step: int) -> None:
        """Record the number of collectives since the last such line, up to this step."""
        calls, missed = self._collectives.count()
        self._write("collectives", step=step, ops=summed(calls), missed=missed)

    def _step_at(self, moment: float) -> int | None:
        place = bisect.bisect_right(self._steps, (moment, math.inf, 0))
        began, ended, step = self._steps[place - 1] if place else (0.0, 0.0, 0)
        return step if began <= moment <= ended else None

    def _write(self, kind: str, **values: Any) -> None:
        if self._file:
            line = json.dumps({"kind": kind, "time": time.time(), **values}, allow_nan=False)
            try:
                self._file.write(line.encode())
            except HarnessError as error:
                raise HarnessError(f"rank {self._rank}: {error}") from None


def _open(folder: Path, rank: int) -> Lines:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Lines(folder / f"rank-{rank}.jsonl")
    except OSError as error:
        raise InputError(f"rank {rank}: --out {folder} cannot be made: {error.strerror}") from None
    except HarnessError as error:
        raise InputError(f"rank {rank}: {error}") from None


def _finite(value: float) -> float | None:
    """None for NaN and infinity, which JSON does not have."""
    return value if math.isfinite(value) else None
