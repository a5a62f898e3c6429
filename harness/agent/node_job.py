"""A node's job with what belongs to it: the run folder, the record, and the scenario that is played meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from harness.agent.job import make_run_folder, make_steps, user_of
from harness.agent.links import NodeLinks
from harness.agent.own_job import OwnJob
from harness.agent.run_recorder import RunRecorder
from harness.agent.scenario_player import ScenarioPlayer
from harness.agent.settings import Settings
from harness.model.collectives_hook import RUN_DIR, collectives_environment
from harness.model.torchrun import STEP_FILE, environment


class NodeJob:
    """Runs the program of the settings once, and records it.

    Args:
        settings: of this node.
        links: of this node.
        player: of the scenario, if there is one.
        away: see OwnJob.
        spawn: starts a task.
    """

    def __init__(
        self,
        settings: Settings,
        links: NodeLinks,
        player: ScenarioPlayer | None,
        away: Callable[[bool], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._settings, self._links, self._player, self._away, self._spawn = settings, links, player, away, spawn
        self.folder: Path | None = None
        """The run folder, once the job has started, where there is a folder for results."""
        self.program: OwnJob | None = None
        """The program, once it has started."""
        self._recorder: RunRecorder | None = None
        self._recording: asyncio.Task[None] | None = None

    async def run(self, run: str, start: Mapping[str, float]) -> int:
        """Run the program to its end; its exit code. Raises HarnessError.

        Args:
            run: the name of the run folder.
            start: time 0 of the scenario (scenario_player.py).
        """
        links, settings = self._links, self._settings
        base = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
        folder = self.folder = make_run_folder(run)
        if folder is not None:
            base[RUN_DIR] = str(folder)
            base |= collectives_environment(base) if settings.collectives else {}
            self._recorder = RunRecorder(folder, links, settings.congestion_control, user_of(), settings.scenario)
            self._recording = self._spawn(self._recorder.run())
        if self._player is not None:
            steps = make_steps(folder) if folder else None
            base |= {STEP_FILE: str(steps)} if steps else {}
            self._player.begin(links.rank, start, folder, steps)
        env = environment(links.plan, links.rank, {**base, "HOME": "/tmp"}, settings.master_port, settings.job)
        self.program = OwnJob(links.rank, settings.job, env, self._away)
        return await self.program.run()

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write another file of the record, where there is one."""
        if self._recorder is not None:
            self._recorder.write(name, value)

    def end_record(self, code: int, failed_rank: int | None) -> None:
        """See RunRecorder.end; without effect after the first time."""
        if self._recorder is not None and self._recording is not None:
            self._recording.cancel()
            self._recorder.end(code, failed_rank)
            self._recorder = None
