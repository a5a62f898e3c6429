"""How far a run is, from the records that its ranks write: followed line by line, never read twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any


class Tail:
    """New whole lines of a file that grows.

    Args:
        path: of the file, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def lines(self) -> Iterator[dict[str, Any]]:
        """Those that came since the last call."""
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
            except ValueError:  # the end of a line that an earlier attempt had begun
                continue


class RunProgress:
    """What a run's records say so far; only lines that are written from now on count.

    Args:
        folder: of the run.
        ranks: how many.
        target: ``loss`` or ``accuracy``, and its value; None: there is none.
    """

    def __init__(self, folder: Path, ranks: int, target: tuple[str, float] | None) -> None:
        self._tails = [Tail(folder / f"rank-{rank}.jsonl") for rank in range(ranks)]
        self._target = target
        self._scores: dict[int, dict[int, float]] = {}
        self.step = 0
        self.elapsed = 0.0
        self.loss: float | None = None
        self.started_at: float | None = None
        """Of training, in seconds since the epoch; None while ranks still connect."""
        self.reached_at: int | None = None
        """The first evaluated step at which the mean over all ranks has reached the target."""

    def update(self) -> None:
        """Take what came."""
        for rank, tail in enumerate(self._tails):
            for line in tail.lines():
                self._take(rank, line)

    def _take(self, rank: int, line: Mapping[str, Any]) -> None:
        kind = line.get("kind")
        if kind == "start" and self.started_at is None:
            self.started_at = float(line["time"])
        elif kind == "step" and rank == 0:
            self.step, self.elapsed, self.loss = line["step"], line["elapsed"], line["loss"]
        elif kind == "eval" and self._target:
            value = line[self._target[0]]
            scores = self._scores.setdefault(line["step"], {})
            scores[rank] = float("nan") if value is None else float(value)
            if self.reached_at is None and len(scores) == len(self._tails) and self._reached(fmean(scores.values())):
                self.reached_at = int(line["step"])

    def _reached(self, mean: float) -> bool:
        assert self._target
        name, value = self._target
        return mean <= value if name == "loss" else mean >= value
