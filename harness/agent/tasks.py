"""The agent's background tasks, and the orphans that process 1 has to reap."""

from __future__ import annotations

import asyncio
import contextlib
import os
import traceback
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from harness.agent.log import say
from harness.errors import HarnessError
from harness.linux import host


class Tasks:
    """Tasks that log their error, and end the agent by it.

    Args:
        fail: called with the exit code of a task's error.
    """

    def __init__(self, fail: Callable[[int], None]) -> None:
        self._fail = fail
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except HarnessError as error:
            say(str(error))
            self._fail(error.exit_code)
        except OSError as problem:
            say(host.explain(problem))
            self._fail(HarnessError.exit_code)
        except Exception:  # a node of which half works is of no use
            say(traceback.format_exc())
            self._fail(HarnessError.exit_code)

    def cancel(self) -> None:
        """Cancel all that still run."""
        for task in self._running:
            task.cancel()


def reap_orphans(ours: Collection[int | None]) -> None:
    """Reap processes that have ended and whose parents are gone: the kernel makes them children of process 1.

    Args:
        ours: process ids for which the agent waits itself: when one has ended, orphans wait for the next call.
    """
    with contextlib.suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid in ours:
                return
            os.waitpid(found.si_pid, os.WNOHANG)
