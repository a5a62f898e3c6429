"""Samples nodes and writes changes to links.jsonl and flows.jsonl."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from harness.linux import host
from harness.sampling.journal import Journal
from harness.sampling.lines import LinkLines, flow_lines
from harness.sampling.node import NodeSample


class Node(Protocol):
    """A sampler: NodeSampler or BridgeSampler."""

    def sample(self, *, thorough: bool) -> NodeSample:
        """Read everything once. Raises OSError."""
        ...

    def notes(self) -> list[str]:
        """Events of the engine here, oldest first."""
        ...


class SampleRecorder:
    """Records nodes. One that cannot be read is reported once, and the others are recorded without it.

    Args:
        nodes: by rank.
        files: links.jsonl and flows.jsonl.
        attempt: number of this attempt of the run.
        say: called with each message for the user, once.

    Raises:
        HarnessError: a file cannot be opened.
    """

    def __init__(
        self, nodes: Mapping[int, Node], files: tuple[Path, Path], attempt: int, say: Callable[[str], None]
    ) -> None:
        self._nodes, self._attempt, self._say = nodes, attempt, say
        self._links, self._flows = (Journal(file, say) for file in files)
        self._lines = LinkLines(attempt)
        self._second = 0
        self._said: set[str] = set()

    def record(self, now: float, *, last: bool = False) -> None:
        """Sample all nodes and write changes; once a second, all counters.

        Args:
            now: seconds since the epoch.
            last: whether no sample follows.
        """
        full, self._second = last or int(now) != self._second, int(now)
        samples = {rank: sample for rank in self._nodes if (sample := self._sample(rank, full)) is not None}
        line = self._lines.line(now, samples, full=full)
        self._links.add([line] if line else [])
        self._flows.add(flow_lines(now, self._attempt, samples))
        if full:
            for node in self._nodes.values():
                self._say_once(*node.notes())

    def _sample(self, rank: int, full: bool) -> NodeSample | None:
        try:
            return self._nodes[rank].sample(thorough=full)
        except OSError as problem:
            who = "the bridge" if rank < 0 else f"node {rank}"
            self._say_once(f"{who} is not sampled: {host.explain(problem)}")
            return None

    def _say_once(self, *texts: str) -> None:
        for text in texts:
            if text not in self._said:
                self._said.add(text)
                self._say(text)

    def close(self) -> None:
        """Close both files."""
        self._links.close()
        self._flows.close()
