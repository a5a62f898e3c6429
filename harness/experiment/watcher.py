"""Watches a run while its ranks train: reads their progress, enforces limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from harness.errors import HarnessError
from harness.experiment.measuring import Measuring
from harness.experiment.progress import RunProgress, progress_of
from harness.experiment.recording import Recording
from harness.experiment.spec import Experiment
from harness.networks.launch import LaunchOutcome

_CONNECT_SECONDS: Final = 300.0
_CONNECT_SECONDS_PER_RANK: Final = 10.0
"""CPU time of one core, since each rank imports PyTorch."""


class Watcher:
    """Watches one run.

    Args:
        experiment: with its limits.
        recording: of the run.
        watch: called with the progress, several times a second.
        measuring: of a command; None for strategies.
    """

    def __init__(
        self,
        experiment: Experiment,
        recording: Recording,
        watch: Callable[[RunProgress], None],
        measuring: Measuring | None = None,
    ) -> None:
        self._experiment, self._recording, self._watch, self._measuring = experiment, recording, watch, measuring
        self._size = recording.network.plan.size
        self._began = float(recording.facts["started"])
        self.progress = progress_of(experiment, recording.folder, self._size, self._began)
        self.over_limit = False
        self.error: HarnessError | None = None
        """Why the job was ended although no rank failed."""

    def tick(self) -> bool:
        """Read the progress; whether the job must end."""
        now = time.time()
        self._recording.tick()
        self._read()
        limit, trained = self._experiment.limit_seconds, self.progress.trained(now)
        bound = _CONNECT_SECONDS + _CONNECT_SECONDS_PER_RANK * self._size
        if trained is None and now - self._began > bound:
            self.error = HarnessError(
                f"no rank started training within {bound:.0f} s; do the links let packets through?"
            )
        reached = self._experiment.stop_at_target and self.progress.reached_at is not None
        self.over_limit = not reached and limit is not None and trained is not None and trained > limit
        return self.over_limit or reached or self.error is not None

    def finish(self) -> None:
        """Read the rest of the progress after the job has ended."""
        self._read()

    def _read(self) -> None:
        if self._measuring:
            self._measuring.read()
        self.progress.update()
        self._watch(self.progress)

    def ending(self, outcome: LaunchOutcome) -> dict[str, Any]:
        """The fields of end.json."""
        if self._measuring and outcome.failed_rank is None and not self.progress.logging:
            self._recording.notes += self._measuring.missing
        found = {**self._recording.ending(outcome), "reached_at_step": self.progress.reached_at}
        if outcome.failed_rank is not None:
            return found
        if self.error:
            return {**found, "status": "failed", "code": self.error.exit_code, "last_lines": [str(self.error)]}
        return {**found, "status": "limit" if self.over_limit else "finished"}

    def stopped(self, code: object) -> dict[str, Any]:
        """The fields of end.json of a run that the user stopped; ``code``: the exit code of this program."""
        return {"status": "stopped", "code": code, "reached_at_step": self.progress.reached_at}
