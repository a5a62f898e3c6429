"""Records the collectives of any job, from a thread beside its script; harness/job_hook starts it.

The profiler must be started and stopped in the main thread (profiler.py), so the thread asks the interpreter to call
there, between two instructions of the script (Py_AddPendingCall). Where the main thread waits in a collective, that is
when it has ended. All else, reading and writing, is done in the thread itself.
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
        """Call it there; False if it could not be called before ``stopped``. Its errors are raised here."""
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
        if work and os.getpid() == self._process:  # what is pending is inherited by a child, like DataLoader's workers
            work()
        return 0


class Watch:
    """Records the collectives of this process until it ends.

    Args:
        log: where to.
    """

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
        environment: with the run's folder, and the node's rank where it is not torch's: several processes of one node
            write to one file.
    """
    import torch.distributed as dist

    rank = int(environment.get("NODE_RANK") or dist.get_rank())
    Watch(CollectiveLog(Path(environment[RUN_DIR]), rank)).run()
