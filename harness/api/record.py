"""The record of a network that a Python program starts: one run folder for all that runs on it (docs/runs.md)."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path, PurePath

from harness.api.failures import warn
from harness.api.program import NodeProgram
from harness.experiment.masked import masked
from harness.experiment.recording import Recording, network_facts
from harness.networks.launch import LaunchOutcome
from harness.networks.network import Network
from harness.run_files import RunFolder


def program_name() -> str:
    """The name of this program: of its script, or of the package that ``python -m`` runs."""
    path = PurePath(sys.argv[0])
    return (path.parent.name if path.stem == "__main__" else path.stem) or "python"


class NetworkRecord:
    """Records what runs on a network, from now on.

    Args:
        network: a network that is up.
        folder: of the run; it exists.
        congestion_control: TCP's.
        scenario: the file of the scenario that plays, if any.
    """

    def __init__(
        self, network: Network, folder: RunFolder, congestion_control: str, scenario: str | None = None
    ) -> None:
        self._texts: list[str] = []
        """Warnings, given at the end: they may come from another thread, and a filter may turn them into errors."""
        self._jobs: list[NodeProgram] = []
        self._outcomes: list[LaunchOutcome] = []
        facts = {
            **network_facts(network, congestion_control),
            "slug": folder.path.name,
            "label": program_name(),
            "command": masked(sys.orig_argv),
            "parameters": {},
            "measure": None,
            "scenario": scenario,
        }
        self._recording = Recording(network, folder, facts, self._texts.append, required=False)
        self._open = contextlib.ExitStack()
        self._open.enter_context(self._recording)
        self.environ = self._recording.environ
        self.sink = self._recording.sink
        self._ended = False

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._recording.folder.path

    def add(self, job: NodeProgram) -> None:
        """Record how a job ends; call it before the job starts."""
        self._harvest()
        self._jobs.append(job)

    def _harvest(self) -> None:
        """Keep the outcomes of jobs that have ended, without those that were stopped."""
        for job in [job for job in self._jobs if job.ended]:
            self._jobs.remove(job)
            with contextlib.suppress(Exception):
                self._outcomes.append(job.outcome())

    def end(self, error: BaseException | None) -> None:
        """Write how the run ended, once. Call it while the network is up and no job runs.

        Args:
            error: the exception that ended the network's ``with`` block.
        """
        if self._ended:
            return
        self._ended = True
        self._harvest()
        failed = next((outcome for outcome in self._outcomes if outcome.failed_rank is not None), None)
        with self._open:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                code = error.code if isinstance(error, SystemExit) else 128 + signal.SIGINT
                self._recording.end("stopped", code=code)
            elif failed is not None:
                self._recording.end(**self._recording.ending(failed))
            elif error is not None:
                self._recording.end("failed", code=1, last_lines=[f"{type(error).__name__}: {error}"])
            else:
                last = self._recording.ending(self._outcomes[-1]) if self._outcomes else {"status": "finished"}
                self._recording.end(**last)
        for text in self._texts:
            warn(text)
