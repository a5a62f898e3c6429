"""Records links and flows of a network ten times a second."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from harness.backends.base import Sampling
from harness.networks.network import Network


class Sampler:
    """Writes links.jsonl and flows.jsonl (docs/runs.md) from ``start`` until ``stop``, or until the network is gone.

    A process that ends with this one samples nodes in namespaces. Problems, e.g. a full disk, are reported once, and
    the job continues.

    Args:
        network: a network that is up.
        folder: of the run.
        attempt: at this run, from 1.
    """

    def __init__(self, network: Network, folder: Path, attempt: int = 1) -> None:
        self._network, self._folder, self._attempt = network, folder, attempt
        self._sampling: Sampling | None = None

    def start(self) -> None:
        """Start; returns just before the first sample. Raises HarnessError where nothing can be sampled."""
        self._sampling = self._network.backend.sample(self._network.plan, self._folder.absolute(), self._attempt)

    def messages(self) -> list[str]:
        """New messages for the user: why something is not recorded, and notes of the engine."""
        return self._sampling.messages() if self._sampling else []

    def stop(self) -> list[str]:
        """Take a last sample and end; the last messages. Does nothing once it has ended."""
        sampling, self._sampling = self._sampling, None
        return sampling.stop() if sampling else []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
