"""A program on the nodes, launched in a thread, that can be waited for and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from harness.backends.base import ProgramStarter, Stdio
from harness.errors import NetworkStateError
from harness.model.plan import NetworkPlan
from harness.networks.away import AwayFile
from harness.networks.launch import LaunchOutcome, launch
from harness.networks.rank_process import GRACE_SECONDS, Sink
from harness.networks.until import ALL, Until


@dataclass(frozen=True)
class Ended:
    """How a program ended on one rank.

    Args:
        rank: the node.
        code: its exit code; 128 + number for a signal, 143 where it was stopped because another rank had failed.
        stdout: what it printed; every line ends with a newline.
        stderr: likewise.
    """

    rank: int
    code: int
    stdout: str
    stderr: str


class _Nodes(ProgramStarter):
    """Starts programs with given bytes as their standard input, and keeps their processes.

    Args:
        starter: the network's backend.
        payload: the standard input of each program.
        ranks: how many programs will be started.
        lock: held while a program starts, because backends are not thread-safe.
    """

    def __init__(self, starter: ProgramStarter, payload: bytes, ranks: int, lock: threading.RLock) -> None:
        self._starter, self._ranks, self._lock = starter, ranks, lock
        self.started = threading.Event()
        """Set when all programs have started, or no more will."""
        self._stopped = False
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._file = open(os.memfd_create("harness"), "wb", buffering=0)  # noqa: SIM115
        view = memoryview(payload)
        while view:
            view = view[self._file.write(view) :]

    @property
    def environ(self) -> Mapping[str, str]:
        return self._starter.environ

    def spawn(
        self,
        rank: int,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdio: Stdio = Stdio(),
        own_group: bool = True,
        cwd: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """See ProgramStarter. Raises NetworkStateError after ``stop``."""
        with self._lock, self._input() as stdin:
            if self._stopped:
                raise NetworkStateError(f"node {rank}: stopped before its program began")
            self.processes[rank] = self._starter.spawn(
                rank, argv, env=env, stdio=replace(stdio, stdin=stdin), own_group=own_group, cwd=cwd
            )
            if len(self.processes) == self._ranks:
                self.started.set()
            return self.processes[rank]

    @contextlib.contextmanager
    def _input(self) -> Iterator[int]:
        """A descriptor that reads the payload from its beginning."""
        fd = os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def close(self) -> None:
        """Free the payload."""
        self.started.set()
        self._file.close()

    def stop(self) -> None:
        """Start no more programs."""
        with self._lock:
            self._stopped = True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process group of each program that runs."""
        for process in list(self.processes.values()):
            if _runs(process):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)


def _runs(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process still runs, without reaping it: the thread that watches it does that."""
    if process.returncode is not None:
        return False
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


class NodeProgram:
    """A launch (harness.networks.launch) in a thread; it starts with ``begin()``.

    The thread stays until all programs have ended, because the kernel ends them with the thread that started them.

    Args:
        backend: where the nodes live.
        plan: of the network.
        argv: the program and its arguments.
        sink: called in the thread with every line of output.
        ranks: where it runs.
        env: in addition to the environment that the backend gives its programs.
        master_port: for the rendezvous at rank 0.
        payload: standard input of each program.
        lock: held while a program starts, because backends are not thread-safe.
        until: see ``launch``.
        away: see ``launch``.
    """

    def __init__(
        self,
        backend: ProgramStarter,
        plan: NetworkPlan,
        argv: Sequence[str],
        sink: Sink,
        *,
        ranks: Sequence[int],
        env: Mapping[str, str],
        master_port: int,
        lock: threading.RLock,
        payload: bytes = b"",
        until: Until = ALL,
        away: AwayFile | None = None,
    ) -> None:
        self.ranks: Final = tuple(ranks)
        self.master_port: Final = master_port
        self.stopped = False
        self._begun = False
        self._outcome: LaunchOutcome | None = None
        self._error: BaseException | None = None
        self._nodes = _Nodes(backend, payload, len(self.ranks), lock)
        work = partial(launch, self._nodes, plan, argv, sink, ranks=self.ranks, master_port=master_port)
        work = partial(work, extra_env=env, until=until, away=away)
        self._thread = threading.Thread(target=self._launch, args=(work,), name="harness-job", daemon=True)

    def begin(self) -> None:
        """Start all programs. Where that is interrupted, none is left running."""
        try:
            self._thread.start()
            self._nodes.started.wait()
        except BaseException:
            self.stop()
            raise
        finally:
            self._begun = True

    def _launch(self, work: Callable[[], LaunchOutcome]) -> None:
        try:
            self._outcome = work()
        except BaseException as error:
            self._error = error
        finally:
            self._nodes.close()

    @property
    def running(self) -> bool:
        """Whether it has started and not ended."""
        return self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs or will run."""
        return self._begun and not self.running

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end, at most ``timeout`` seconds; whether it has ended."""
        self._thread.join(timeout)
        return not self.running

    def join(self, name: str, timeout: float | None) -> None:
        """Wait for its end. Raises TimeoutError, which names the ranks that still run after ``timeout`` seconds."""
        if not self.wait(timeout):
            ranks = ", ".join(map(str, self.unended()))
            raise TimeoutError(f"{name}: still running after {timeout:g} s: rank {ranks}")

    def unended(self) -> list[int]:
        """The ranks whose program has not ended."""
        started = self._nodes.processes
        return [rank for rank in self.ranks if rank not in started or _runs(started[rank])]

    def stop(self) -> None:
        """Start no more programs; send SIGTERM to those that run, and SIGKILL after GRACE_SECONDS."""
        if self.ended:
            return
        self.stopped = True
        self._nodes.stop()
        if not self.running:  # and none will start, because of _nodes.stop
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._nodes.signal(number)
            if self.wait(GRACE_SECONDS):
                return
        self.wait()

    def outcome(self) -> LaunchOutcome:
        """How it ended. Raises the error of the launch, or NetworkStateError where ``stop`` ended it."""
        if self.stopped:
            raise NetworkStateError("it was stopped before it ended")
        if self._error is not None:
            raise self._error
        assert self._outcome is not None, "wait first"
        return self._outcome
