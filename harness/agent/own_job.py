"""A job that a scenario may kill and start again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from harness.agent.job import Job
from harness.model.torchrun import RESTART


class OwnJob:
    """Runs a program until it ends by itself, fails or is stopped.

    Args:
        rank: see Job.
        argv: see Job.
        env: see Job.
        away: called with True when a scenario has killed it, and with False when it starts again.
    """

    def __init__(self, rank: int, argv: Sequence[str], env: Mapping[str, str], away: Callable[[bool], None]) -> None:
        self._rank, self._argv, self._env = rank, argv, env
        self._job = self._make(0)
        self._away = away
        self._killed = self._stopped = False
        self._back = asyncio.Event()

    def _make(self, restarts: int) -> Job:
        again = {RESTART: str(restarts)} if restarts else {}
        return Job(self._rank, self._argv, {**self._env, **again})

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._job.pid

    async def run(self) -> int:
        """Start it, also after each kill by a scenario; the exit code."""
        for restarts in count(1):
            code = await self._job.run()
            if not code or not self._killed or self._stopped:
                return code
            self._away(True)
            while not self._back.is_set():
                await self._back.wait()
            if self._stopped:
                return code
            self._away(False)
            self._killed = False
            self._back.clear()
            self._job = self._make(restarts)
        raise AssertionError

    def will_be_killed(self) -> None:
        """A scenario is about to kill it, which is no failure."""
        self._killed = True
        self._back.clear()

    def restart(self) -> None:
        """Start it again if a scenario has killed it."""
        if self._killed:
            self._back.set()

    def stop(self, after: float = 0.0) -> None:
        """See Job.stop; it does not start again."""
        self._stopped = True
        self._back.set()
        self._job.stop(after)
