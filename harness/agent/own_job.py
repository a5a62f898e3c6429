"""The job that a node runs by itself: a scenario may kill it, and start it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from harness.agent.job import Job
from harness.model.torchrun import RESTART


class OwnJob:
    """A program, and what becomes of it.

    Args:
        rank: stands in front of every line.
        argv: the program and its arguments.
        env: its whole environment.
        away: called with True where it was killed by a scenario, and with False when it starts again.
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
        """Start it, and again as often as it comes back; its exit code."""
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
        """A scenario kills it: that is no failure."""
        self._killed = True
        self._back.clear()

    def restart(self) -> None:
        """It is back, where it was killed."""
        if self._killed:
            self._back.set()

    def stop(self, after: float = 0.0) -> None:
        """See Job.stop; it is not started again."""
        self._stopped = True
        self._back.set()
        self._job.stop(after)
