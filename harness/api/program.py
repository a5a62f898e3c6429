"""A program on the nodes in a thread of its own, which can be waited for and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

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
        stdout: what it printed, in lines: a last one without its newline gets one.
        stderr: the same.
    """

    rank: int
    code: int
    stdout: str
    stderr: str


class _Nodes(ProgramStarter):
    """Starts programs that read given bytes, and remembers them.

    Args:
        starter: the network's backend.
        payload: their standard input.
        ranks: how many will be started.
        lock: taken while a program starts, for a backend is not thread-safe.
    """

    def __init__(self, starter: ProgramStarter, payload: bytes, ranks: int, lock: threading.RLock) -> None:
        self._starter, self._ranks, self._lock = starter, ranks, lock
        self.started = threading.Event()
        """Set when all have begun, or none more will."""
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
        """See ProgramStarter. Raises NetworkStateError where it was stopped meanwhile."""
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
        """The bytes, to be read from their beginning."""
        fd = os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def close(self) -> None:
        """Forget the bytes."""
        self.started.set()
        self._file.close()

    def stop(self) -> None:
        """Let no more begin."""
        with self._lock:
            self._stopped = True

    def signal(self, number: signal.Signals) -> None:
        """To the process group of each that runs."""
        for process in list(self.processes.values()):
            if _runs(process):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)


def _runs(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has not ended; without reaping it, which is for the thread that watches it by its process id."""
    if process.returncode is not None:
        return False
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


class NodeProgram:
    """A launch (harness.networks.launch) under way.

    Nothing of it runs before ``begin()``, so that the caller can list it first. The thread that starts the programs
    stays until they have ended: the kernel ends them with it.

    Args:
        backend: where the nodes live.
        plan: of the network.
        argv: the program and its arguments.
        sink: gets every line of output, in that thread.
        ranks: where it runs.
        env: beside the environment that the backend gives its programs.
        master_port: for the rendezvous at rank 0.
        payload: standard input.
        lock: see _Nodes.
        until: whose end with 0 ends the others.
        away: the ranks that a scenario keeps away, which is no failure.
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
        options: dict[str, Any] = {"ranks": self.ranks, "extra_env": env, "master_port": master_port, "until": until}
        options["away"] = away
        work = (self._nodes, plan, argv, sink)
        self._thread = threading.Thread(target=self._launch, args=(work, options), name="harness-job", daemon=True)

    def begin(self) -> None:
        """Start all programs; an interrupt ends them all."""
        try:
            self._thread.start()
            self._nodes.started.wait()
        except BaseException:
            self.stop()
            raise
        finally:
            self._begun = True

    def _launch(self, work: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        try:
            self._outcome = launch(*work, **options)
        except BaseException as error:
            self._error = error
        finally:
            self._nodes.close()

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs, nor will."""
        return self._begun and not self.running

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has ended, within that many seconds where they are given."""
        self._thread.join(timeout)
        return not self.running

    def unended(self) -> list[int]:
        """The ranks whose program has not ended."""
        started = self._nodes.processes
        return [rank for rank in self.ranks if rank not in started or _runs(started[rank])]

    def stop(self) -> None:
        """End all programs: asked first, killed after a grace; no more begin. Does nothing where it has ended."""
        if self.ended:
            return
        self.stopped = True
        self._nodes.stop()
        if not self.running:  # nor will it, also where its thread is about to
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._nodes.signal(number)
            if self.wait(GRACE_SECONDS):
                return
        self.wait()

    def outcome(self) -> LaunchOutcome:
        """How it ended. Raises what ended the launch itself; NetworkStateError where it was stopped."""
        if self.stopped:
            raise NetworkStateError("it was stopped before it ended")
        if self._error is not None:
            raise self._error
        assert self._outcome is not None, "wait first"
        return self._outcome
