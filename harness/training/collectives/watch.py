"""Records the collectives of any job, in a thread beside its script; harness/job_hook starts it.

The profiler must be started and stopped in the main thread (profiler.py): the thread asks the interpreter to do so
there, between two instructions of the script (Py_AddPendingCall); if the main thread waits in a collective, after that
has ended. The thread itself reads and writes.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from harness.model.collectives_hook import RUN_DIR
from harness.training.collectives.log import CollectiveLog

_LOOK_SECONDS: Final = 0.02
_PENDING = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class MainThread:
    """Calls functions in the main thread, one at a time."""

    def __init__(self) -> None:
        self._work: Callable[[], None] | None = None
        self._call = _PENDING(self._run)
        self._process = os.getpid()

    def __call__(self, work: Callable[[], None], stopped: threading.Event) -> bool:
        """Call a function there, and raise its errors here; False if ``stopped`` came first."""
        done, errors = threading.Event(), list[Exception]()

        def run() -> None:
            try:
                work()
            except Exception as error:
                errors.append(error)
            done.set()

        self._work = run
        while ctypes.pythonapi.Py_AddPendingCall(self._call, None):
            time.sleep(_LOOK_SECONDS)  # too many others
        while not done.wait(_LOOK_SECONDS) and not stopped.is_set():
            continue
        if errors:
            raise errors[0]
        return done.is_set()

    def forget(self) -> None:
        """Call nothing any more; from the main thread."""
        self._work = None

    def _run(self, _: int | None) -> int:
        work, self._work = self._work, None
        if work and os.getpid() == self._process:  # children, like DataLoader's workers, inherit pending calls
            work()
        return 0


class CollectiveWatch:
    """Records the collectives of this process in a log until it ends."""

    def __init__(self, log: CollectiveLog) -> None:
        self._log, self._main, self._stopped = log, MainThread(), threading.Event()
        self._idle = threading.Event()
        self._taken = False
        self._process = os.getpid()

    def run(self) -> None:
        """Read and write, until the script has ended."""
        atexit.register(self._finish)
        try:
            if not self._main(lambda: self._log.begin(forget=False), self._stopped):
                return
            while not self._stopped.wait(_LOOK_SECONDS):
                now = time.perf_counter()
                if self._log.is_off(now):
                    self._main(self._log.resume, self._stopped)
                if self._log.is_due(now):
                    self._taken = False
                    self._main(self._take, self._stopped)
                    if self._taken:
                        self._log.write()
        finally:
            self._idle.set()

    def _take(self) -> None:
        self._taken = self._log.cut()

    def _finish(self) -> None:
        """In the main thread, when the script has ended."""
        if os.getpid() != self._process:  # a child that was forked
            return
        self._main.forget()
        self._stopped.set()
        self._idle.wait(5)
        self._log.finish()


def watch(environment: Mapping[str, str]) -> None:
    """Record the collectives of this process, which has a process group, until it ends.

    Args:
        environment: has the run folder, and if several processes of a node write to one file, NODE_RANK.
    """
    import torch.distributed as dist

    rank = int(environment.get("NODE_RANK") or dist.get_rank())
    CollectiveWatch(CollectiveLog(Path(environment[RUN_DIR]), rank)).run()
