"""Records links and flows of a network, ten times a second, while a job runs in it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from harness.backends.base import Sampling
from harness.networks.network import Network


class Sampler:
    """Writes links.jsonl and flows.jsonl (docs/runs.md) from ``start`` until ``stop``, or until the network is gone.

    Nodes in namespaces are sampled by one process of their own, which ends with this one. A node that is gone, or a
    disk that is full, is reported once; the job goes on.

    Args:
        network: that is up.
        folder: of the run.
        attempt: at this run, from 1.
    """

    def __init__(self, network: Network, folder: Path, attempt: int = 1) -> None:
        self._network, self._folder, self._attempt = network, folder, attempt
        self._sampling: Sampling | None = None

    def start(self) -> None:
        """Begin; returns when the first sample is about to be taken. Raises HarnessError where nothing can be."""
        self._sampling = self._network.backend.sample(self._network.plan, self._folder.absolute(), self._attempt)

    def messages(self) -> list[str]:
        """What the user should know and was not told yet: why something is not recorded; what became of the engine."""
        return self._sampling.messages() if self._sampling else []

    def stop(self) -> list[str]:
        """Take a last sample and end; returns the last messages. Does nothing where it has ended."""
        sampling, self._sampling = self._sampling, None
        return sampling.stop() if sampling else []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
