"""What is done beside a run's programs several times a second: progress, link statistics, limits."""

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
"""Of a core: each rank imports PyTorch."""


class Watcher:
    """Watches one run.

    Args:
        experiment: with its limits.
        network: of the run.
        folder: of the run.
        facts: what run.json says.
        watch: called with the progress, several times a second.
        tell: called with what the user should know, one line each.
    """

    def __init__(
        self,
        experiment: Experiment,
        network: Network,
        folder: RunFolder,
        facts: Mapping[str, Any],
        watch: Callable[[RunProgress], None],
        tell: Callable[[str], None],
    ) -> None:
        self._experiment, self._network, self._folder = experiment, network, folder
        self._watch, self._tell = watch, tell
        self._attempt = facts["attempt"]
        self._began = float(facts["started"])
        self.progress = RunProgress(folder.path, network.plan.size, experiment.target, self._began)
        self.over_limit = False
        self.trouble: HarnessError | None = None
        """What ended the job, where no rank has failed by itself."""
        self.notes: list[str] = []
        """What has happened to the links' makers meanwhile, each once: what was measured then is of broken links."""
        self._sample_at = 0.0

    def tick(self) -> bool:
        """Whether the job is to end now. Raises HarnessError where it cannot be recorded."""
        now = time.time()
        if now >= self._sample_at:
            self._sample_at = max(self._sample_at + _SAMPLE_SECONDS, now + _SAMPLE_SECONDS / 2)
            self.trouble = self._sample()
        self.progress.update()
        self._watch(self.progress)
        limit, trained = self._experiment.limit_seconds, self.progress.trained(now)
        bound = _CONNECT_SECONDS + _CONNECT_SECONDS_PER_RANK * self._network.plan.size
        if trained is None and now - self._began > bound:
            self.trouble = HarnessError(
                f"no rank started training within {bound:.0f} s; do the links let packets through?"
            )
        reached = self._experiment.stop_at_target and self.progress.reached_at is not None
        self.over_limit = not reached and limit is not None and trained is not None and trained > limit
        return self.over_limit or reached or self.trouble is not None

    def finish(self) -> None:
        """The job has ended: what came since the last tick. Raises HarnessError where it cannot be recorded."""
        self._sample()
        self.progress.update()
        self._watch(self.progress)

    def ending(self, outcome: LaunchOutcome) -> dict[str, Any]:
        """How the run ended, and why: the part of end.json that follows from that."""
        return self._told(**self._ending(outcome))

    def stopped(self, code: object) -> dict[str, Any]:
        """The same where the user has stopped it, by what would be this program's exit code."""
        return self._told(status="stopped", code=code, failed_rank=None, last_lines=[])

    def _told(self, **ending: Any) -> dict[str, Any]:
        return {**ending, "notes": self.notes, "reached_at_step": self.progress.reached_at}

    def _ending(self, outcome: LaunchOutcome) -> dict[str, Any]:
        failed = outcome.failed_rank
        if failed is not None:
            lines = self._folder.last_lines(failed, _LAST_LINES)
            return {"status": "failed", "code": outcome.code, "failed_rank": failed, "last_lines": lines}
        if self.trouble:
            code = self.trouble.exit_code
            return {"status": "failed", "code": code, "failed_rank": None, "last_lines": [str(self.trouble)]}
        return {"status": "limit" if self.over_limit else "finished", "code": 0, "failed_rank": None, "last_lines": []}

    def _sample(self) -> HarnessError | None:
        """Record what was counted; why that was not to be had, which ends this run and no other."""
        try:
            readings = self._network.observe()
        except HarnessError as error:
            return error
        self._folder.links(links_line(time.time(), self._attempt, readings))
        for text in dict.fromkeys(text for node in readings.values() for text in node.notes):
            if text not in self.notes:
                self.notes.append(text)
                self._tell(f"{self._folder.path.name}: {text}")
        return None
