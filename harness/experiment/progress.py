"""The progress of a run: follows the records that its ranks write, each line read once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any


class Tail:
    """Reads the new whole lines of a growing file.

    Args:
        path: of the file, which may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # a line that was cut off when an earlier attempt was killed
                continue


class RunProgress:
    """The progress of a run so far. A `start` line resets it to the checkpoint from which the attempt continues.

    Args:
        folder: of the run.
        ranks: number of ranks.
        target: ``loss`` or ``accuracy``, and its value; None: no target.
        since: start of this attempt, in seconds since the epoch.
    """

    def __init__(self, folder: Path, ranks: int, target: tuple[str, float] | None, since: float) -> None:
        self._tails = [Tail(folder / f"rank-{rank}.jsonl") for rank in range(ranks)]
        self._target = target
        self._scores: dict[int, dict[int, float]] = {}
        self.step = 0
        self.elapsed = 0.0
        self.loss: float | None = None
        self._since = since
        self._started: tuple[float, float] | None = None

    @property
    def reached_at(self) -> int | None:
        """The first evaluated step at which the mean over all ranks has reached the target."""
        whole = (step for step, scores in sorted(self._scores.items()) if len(scores) == len(self._tails))
        return next((step for step in whole if self._reached(fmean(self._scores[step].values()))), None)

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
            self.step, self.elapsed, self.loss = line["step"], line["elapsed"], line["loss"]
        elif kind == "eval" and self._target:
            value = line[self._target[0]]
            scores = self._scores.setdefault(line["step"], {})
            scores[rank] = float("nan") if value is None else float(value)

    def _start(self, rank: int, line: Mapping[str, Any]) -> None:
        last = line["resumed_from"]
        for step, scores in self._scores.items():
            if last is None or step > last:
                scores.pop(rank, None)
        if rank == 0:
            self.step, self.loss = last or 0, None
        if self._started is None and line["time"] >= self._since:
            self._started = float(line["time"]), float(line.get("elapsed", 0.0))

    def _reached(self, mean: float) -> bool:
        assert self._target
        name, value = self._target
        return mean <= value if name == "loss" else mean >= value
