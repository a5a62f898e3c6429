"""Watches a run while its ranks train: reads their progress, records link statistics, enforces limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from harness.agent.run_recorder import links_line
from harness.errors import HarnessError
from harness.experiment.progress import RunProgress
from harness.experiment.spec import Experiment
from harness.networks.launch import LaunchOutcome
from harness.networks.network import Network
from harness.run_files import RunFolder

_LAST_LINES: Final = 10
_SAMPLE_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 300.0
_CONNECT_SECONDS_PER_RANK: Final = 10.0
"""CPU time of one core: each rank imports PyTorch."""


class Watcher:
    """Watches one run.

    Args:
        experiment: with its limits.
        network: of the run.
        folder: of the run.
        facts: the contents of run.json.
        watch: called with the progress, several times a second.
        notify: called with each message for the user, one line each.
    """

    def __init__(
        self,
        experiment: Experiment,
        network: Network,
        folder: RunFolder,
        facts: Mapping[str, Any],
        watch: Callable[[RunProgress], None],
        notify: Callable[[str], None],
    ) -> None:
        self._experiment, self._network, self._folder = experiment, network, folder
        self._watch, self._notify = watch, notify
        self._attempt = facts["attempt"]
        self._began = float(facts["started"])
        self.progress = RunProgress(folder.path, network.plan.size, experiment.target, self._began)
        self.over_limit = False
        self.error: HarnessError | None = None
        """Why the job was ended, where no rank failed."""
        self.notes: list[str] = []
        """Messages of the engine, each once, e.g. that a shaper daemon was restarted: meanwhile its links were down."""
        self._sample_at = 0.0

    def tick(self) -> bool:
        """Record a sample, read the progress, and return whether the job must end.

        Raises:
            HarnessError: the records cannot be written.
        """
        now = time.time()
        if now >= self._sample_at:
            self._sample_at = max(self._sample_at + _SAMPLE_SECONDS, now + _SAMPLE_SECONDS / 2)
            self.error = self._sample()
        self.progress.update()
        self._watch(self.progress)
        limit, trained = self._experiment.limit_seconds, self.progress.trained(now)
        bound = _CONNECT_SECONDS + _CONNECT_SECONDS_PER_RANK * self._network.plan.size
        if trained is None and now - self._began > bound:
            self.error = HarnessError(
                f"no rank started training within {bound:.0f} s; do the links let packets through?"
            )
        reached = self._experiment.stop_at_target and self.progress.reached_at is not None
        self.over_limit = not reached and limit is not None and trained is not None and trained > limit
        return self.over_limit or reached or self.error is not None

    def finish(self) -> None:
        """Record and read what came since the last tick, after the job has ended. Raises HarnessError as tick does."""
        self._sample()
        self.progress.update()
        self._watch(self.progress)

    def ending(self, outcome: LaunchOutcome) -> dict[str, Any]:
        """The fields of end.json that say how the run ended, and why."""
        return self._with_notes(**self._ending(outcome))

    def stopped(self, code: object) -> dict[str, Any]:
        """The same for a run that the user stopped.

        Args:
            code: the exit code of this program.
        """
        return self._with_notes(status="stopped", code=code, failed_rank=None, last_lines=[])

    def _with_notes(self, **ending: Any) -> dict[str, Any]:
        return {**ending, "notes": self.notes, "reached_at_step": self.progress.reached_at}

    def _ending(self, outcome: LaunchOutcome) -> dict[str, Any]:
        failed = outcome.failed_rank
        if failed is not None:
            lines = self._folder.last_lines(failed, _LAST_LINES)
            return {"status": "failed", "code": outcome.code, "failed_rank": failed, "last_lines": lines}
        if self.error:
            code = self.error.exit_code
            return {"status": "failed", "code": code, "failed_rank": None, "last_lines": [str(self.error)]}
        return {"status": "limit" if self.over_limit else "finished", "code": 0, "failed_rank": None, "last_lines": []}

    def _sample(self) -> HarnessError | None:
        """Record the counters of all links; an error is returned: it ends this run, not the experiment."""
        try:
            statuses = self._network.observe()
        except HarnessError as error:
            return error
        self._folder.links(links_line(time.time(), self._attempt, statuses))
        for text in dict.fromkeys(text for node in statuses.values() for text in node.notes):
            if text not in self.notes:
                self.notes.append(text)
                self._notify(f"{self._folder.path.name}: {text}")
        return None
