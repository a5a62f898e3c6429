"""Records the run of a node's job in its run folder, for ``harness report`` (docs/runs.md).

Every node records its own links and flows (node_recorder.py). Rank 0 writes run.json before the job starts, and
end.json when it has ended; the trainer adds to both.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from harness.agent.job import as_user
from harness.agent.links import NodeLinks
from harness.agent.log import say
from harness.agent.node_recorder import NodeRecorder
from harness.errors import HarnessError
from harness.run_files import RunFolder, write_json

_SIGNALS: Final = (130, 143)
"""Exit codes of a job that a user has stopped, by SIGINT or SIGTERM."""


class RunRecorder:
    """Records one run of a job. If that fails, it logs why and stops recording; the job goes on.

    Args:
        folder: of the run.
        links: of this node.
        congestion_control: of TCP.
        user: (uid, gid) of the job, to whom the files belong.
        scenario: that is played meanwhile; empty: none.
    """

    def __init__(
        self, folder: Path, links: NodeLinks, congestion_control: str, user: tuple[int, int], scenario: str = ""
    ) -> None:
        self._folder, self._links, self._user, self._began = RunFolder(folder), links, user, time.time()
        self.node: NodeRecorder | None = None
        """Records this node's links and flows."""
        self._failed = False
        with self._writing():
            if links.rank == 0:
                with as_user(*user):
                    self._folder.begin({**self._facts(congestion_control), "scenario": scenario or None})
            self.node = NodeRecorder(folder, links, 1, user, say)

    def _facts(self, congestion_control: str) -> dict[str, Any]:
        """The network's part of run.json."""
        plan = self._links.plan
        return {
            "version": 1,
            "slug": self._folder.path.name,
            "profile": plan.profile,
            "topology": plan.topology,
            "nodes": plan.size,
            "seed": plan.seed,
            "target": None,
            "stop_at_target": False,
            "limit_seconds": None,
            "runtime": "docker",
            "engine": self._links.engine.name,
            "congestion_control": congestion_control,
            "plan": plan.to_json(),
            "started": self._began,
            "attempt": 1,
        }

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Log the first failure in these blocks, and end the recording by it."""
        try:
            yield
        except HarnessError as error:
            if not self._failed:
                say(f"this run is not recorded: {error}")
            self._failed = True

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write another file to the run folder."""
        with self._writing(), as_user(*self._user):
            write_json(self._folder.path / name, value)

    async def run(self) -> None:
        """Sample until cancelled; return if that is not possible."""
        if self.node:
            await self.node.run()

    def end(self, code: int, failed_rank: int | None) -> None:
        """Record the last counters and, at rank 0, how the job has ended.

        Args:
            code: the job's exit code.
            failed_rank: the rank that failed first, if any did.
        """
        if self.node:
            self.node.end()
        if self._links.rank or self._failed:
            return
        status = "finished" if code == 0 else "stopped" if code in _SIGNALS else "failed"
        usual = {"seconds": time.time() - self._began, "last_lines": [], "reached_at_step": None, "notes": []}
        ending = {**usual, **(self._folder.ending or {}), "code": code}
        ending["failed_rank"] = failed_rank if status == "failed" else None
        rest = {name: value for name, value in ending.items() if name not in ("status", "time")}
        with self._writing(), as_user(*self._user):
            self._folder.end(status, **rest)
