"""Finds measured values while a command runs, and records them in rank-R.jsonl as ``harness.log`` does."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from harness.experiment.measure import WALL, FileReader, Measure, MeasuredValue, OutputReader
from harness.experiment.progress import Tail
from harness.experiment.recording import Recording
from harness.networks.backends import DOCKER
from harness.networks.rank_process import Stream


class Measuring:
    """Measures one run; ``path``: the file that is followed, if the measure names one."""

    def __init__(self, measure: Measure, recording: Recording, path: Path | None) -> None:
        self._measure, self._recording = measure, recording
        self._output = OutputReader(measure.pattern) if measure.kind == "regex" else None
        self._file = FileReader(measure.key) if measure.kind == "jsonl" else None
        self._tail = Tail(path, from_end=True) if path else None
        if (self._output or self._file) and recording.network.backend.name == DOCKER:
            recording.share_logs()

    def sink(self, rank: int, stream: Stream, line: bytes) -> None:
        """Record a line of output, and the values in it. Raises HarnessError."""
        self._recording.sink(rank, stream, line)
        if self._output:
            self._record(self._output.find(rank, line))

    def read(self) -> None:
        """Read the new lines of the file. Raises HarnessError."""
        if self._tail and self._file:
            for line in self._tail.lines():
                self._record(self._file.find(line))

    @property
    def missing(self) -> list[str]:
        """Notes for a run in which no value was found."""
        if self._measure.kind == WALL:
            return []
        return [f"no {self._measure.name} was found; looked for {self._measure.sought}"]

    def _record(self, values: Iterable[MeasuredValue]) -> None:
        for found in values:
            self._recording.log(found.rank, found.line(self._measure.name, time.time()))
