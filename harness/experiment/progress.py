"""Follows the progress of a run by the records that its ranks write."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.experiment.measure import WALL
from harness.experiment.membership import members_at
from harness.experiment.spec import Experiment
from harness.run_files import RunFolder


class Tail:
    """Reads the new whole lines of a growing file, which may not exist yet.

    ``from_end``: whether to skip what the file has now.
    """

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self._path = path
        self._position = _size(path) if from_end else 0

    def lines(self) -> Iterator[dict[str, Any]]:
        """The objects in the lines since the last call; in all lines, if the file was truncated."""
        try:
            with self._path.open("rb") as file:
                if self._position > _size(self._path):
                    self._position = 0
                file.seek(self._position)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.splitlines():
            try:
                found = json.loads(line)
            except ValueError:  # a line that was cut off when an earlier attempt was killed
                continue
            if isinstance(found, dict):
                yield found


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class RunProgress:
    """The progress of a run so far. A `start` line resets it to the checkpoint from which the attempt continues.

    Args:
        folder: of the run.
        ranks: number of ranks.
        target: ``loss`` or ``accuracy``, and its value; None: no target.
        since: start of this attempt, in seconds since the epoch.
        logged: the name of the measured value of a user's command, whose training begins with the attempt.
    """

    def __init__(
        self,
        folder: Path,
        ranks: int,
        target: tuple[str, float] | None,
        since: float,
        logged: str | None = None,
    ) -> None:
        self._tails = [Tail(folder / f"rank-{rank}.jsonl") for rank in range(ranks)]
        self._target, self._logged = target, logged
        self._scores: dict[int, dict[int, float]] = {}
        self.step = 0
        """The last step; of a command, the last step of the lowest rank that logs."""
        self.elapsed = 0.0
        self.name = logged or "loss"
        self.value: float | None = None
        """The value of that name at the last step."""
        self.logging: Counter[int] = Counter()
        """How many values each rank of a command has logged."""
        self._names_steps: set[int] = set()
        self._groups: list[tuple[int, frozenset[int]]] = []
        """(last step before it, members) of each process group of an elastic run."""
        self._since = since
        self._started: tuple[float, float] | None = (since, 0.0) if logged else None

    @property
    def reached_at(self) -> int | None:
        """The first evaluated step at which the mean over all ranks, or all that log, has reached the target."""
        return next((step for step in sorted(self._scores) if self._whole_and_reached(step)), None)

    def _whole_and_reached(self, step: int) -> bool:
        ranks = members_at(self._groups, step) or self.logging.keys() or range(len(self._tails))
        scores = self._scores[step]
        return scores.keys() >= set(ranks) and self._reached(fmean(scores[rank] for rank in ranks))

    def trained(self, now: float) -> float | None:
        """Seconds of training until now, over all attempts; None while ranks connect."""
        if self._started is None:
            return None
        at, before = self._started
        return now - at + before

    def update(self) -> None:
        """Read the new lines of all ranks."""
        for rank, tail in enumerate(self._tails):
            for line in tail.lines():
                self._take(rank, line)

    def _take(self, rank: int, line: Mapping[str, Any]) -> None:
        kind = line.get("kind")
        if kind == "start":
            self._start(rank, line)
        elif kind == "step" and rank == 0:
            self.step, self.elapsed, self.value = line["step"], line["elapsed"], line["loss"]
        elif kind == "eval" and self._target:
            value = line[self._target[0]]
            scores = self._scores.setdefault(line["step"], {})
            scores[rank] = float("nan") if value is None else float(value)
        elif kind == "log" and self._logged:
            self._log(rank, line)

    def _log(self, rank: int, line: Mapping[str, Any]) -> None:
        values, step, now = line.get("values"), line.get("step"), line.get("time")
        if not isinstance(values, dict) or self._logged not in values:
            return
        value = values[self._logged]
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            return
        self.logging[rank] += 1
        if isinstance(step, int):
            self._names_steps.add(rank)
        elif rank in self._names_steps:  # e.g. a summary at its end
            return
        at = step if isinstance(step, int) else self.logging[rank]
        if self._target:
            self._scores.setdefault(at, {})[rank] = math.nan if value is None else value
        if rank == min(self.logging):
            self.step, self.value = at, value
            self.elapsed = now - self._since if isinstance(now, int | float) else self.elapsed

    def _start(self, rank: int, line: Mapping[str, Any]) -> None:
        last = line["resumed_from"]
        for step, scores in self._scores.items():
            if last is None or step > last:
                scores.pop(rank, None)
        if rank == 0:
            if self.step != last:
                self.step, self.value = last or 0, None
            if members := line.get("members"):
                self._groups.append((last or 0, frozenset(members)))
        if self._started is None and line["time"] >= self._since:
            self._started = float(line["time"]), float(line.get("elapsed", 0.0))

    def _reached(self, mean: float) -> bool:
        assert self._target
        name, value = self._target
        return mean <= value if name == "loss" else mean >= value


def progress_of(experiment: Experiment, folder: RunFolder, ranks: int, since: float) -> RunProgress:
    """The progress of a run that started at ``since``, in seconds since the epoch."""
    measure = experiment.measure
    logged = None if measure is None else "loss" if measure.kind == WALL else measure.name
    return RunProgress(folder.path, ranks, experiment.target, since, logged)
