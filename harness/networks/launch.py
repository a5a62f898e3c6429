"""A program on every node, as torchrun would start it: variables, prefixed output, the first failure ends all."""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Final, Literal

from harness.backends.base import ProgramStarter, Stdio
from harness.linux.line_splitter import LineSplitter
from harness.model.plan import NetworkPlan
from harness.model.torchrun import MASTER_PORT, environment
from harness.networks.until import ALL, FIRST, Until

Stream = Literal["stdout", "stderr"]
Sink = Callable[[int, Stream, bytes], None]
"""Called with rank, stream and one line without its newline."""

GRACE_SECONDS: Final = 5.0
TICK_SECONDS: Final = 0.25
TERMINATED: Final = b"terminate called without an active exception"
"""What C++ prints where a thread is ended within C++ code: gloo's, where Python ends first (pytorch #190489)."""
TIMED_OUT: Final = 124
"""The exit code where the time is over, as of timeout(1)."""
_CHUNK: Final = 1 << 16
_PIPE: Final = 1 << 20
"""Bytes that a pipe can hold unless root asks for more (/proc/sys/fs/pipe-max-size)."""


@dataclass(frozen=True)
class LaunchOutcome:
    """How a launch ended.

    Args:
        code: 0, or the exit code of the rank that failed first (128 + number for a signal), or TIMED_OUT.
        failed_rank: that rank, or None.
        codes: of every rank; those of stopped ranks too.
        cut: whether ``tick``, ``until`` or ``timeout`` ended it before any rank had failed.
        terminated: whether the rank that failed first was ended by C++ with TERMINATED.
        unended: ranks that ran on until the time was over.
    """

    code: int
    failed_rank: int | None
    codes: Mapping[int, int]
    cut: bool = False
    terminated: bool = False
    unended: tuple[int, ...] = ()

    @property
    def stopped(self) -> int:
        """How many ranks ended by the signals that we send to the others once one has failed."""
        ours = (128 + signal.SIGTERM, 128 + signal.SIGKILL)
        return sum(code in ours for rank, code in self.codes.items() if rank != self.failed_rank)


@dataclass
class _Rank:
    rank: int
    process: subprocess.Popen[bytes]
    lines: dict[Stream, LineSplitter] = field(
        default_factory=lambda: {"stdout": LineSplitter(), "stderr": LineSplitter()}
    )
    terminated: bool = False

    def pipe(self, stream: Stream) -> IO[bytes]:
        pipe = self.process.stdout if stream == "stdout" else self.process.stderr
        assert pipe is not None
        return pipe


def launch(
    nodes: ProgramStarter,
    plan: NetworkPlan,
    argv: Sequence[str],
    sink: Sink,
    *,
    ranks: Sequence[int] | None = None,
    master_port: int = MASTER_PORT,
    extra_env: Mapping[str, str] | None = None,
    tick: Callable[[], bool] | None = None,
    until: Until = ALL,
    timeout: float | None = None,
    cwd: str | None = None,
    begun: Callable[[], None] | None = None,
) -> LaunchOutcome:
    """Run a program on the nodes until all end, or until the first fails: then the others are stopped.

    Args:
        nodes: where programs start.
        plan: of the network.
        argv: the program and its arguments.
        sink: gets every line of output.
        ranks: where to run it; None: everywhere.
        master_port: for the rendezvous at rank 0.
        extra_env: beside the environment that the nodes give their programs.
        tick: called every TICK_SECONDS while the program runs; True ends it on all ranks.
        until: whose end with 0 ends the others.
        timeout: seconds, after which all are stopped.
        cwd: the folder in which it starts; None: ours, in containers their own.
        begun: called when it has been started on all of these nodes.
    """
    started: list[_Rank] = []
    base = {**nodes.environ, **(extra_env or {})}
    stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, subprocess.PIPE)
    try:
        for rank in range(plan.size) if ranks is None else ranks:
            env = environment(plan, rank, base, master_port, argv)
            started.append(_Rank(rank, nodes.spawn(rank, argv, env=env, stdio=stdio, cwd=cwd)))
        if begun:
            begun()
        return _watch(started, sink, tick, until, math.inf if timeout is None else time.monotonic() + timeout)
    finally:
        _stop([one.process for one in started])
        for one in started:
            for pipe in (one.process.stdout, one.process.stderr):
                if pipe:
                    pipe.close()


def _watch(
    ranks: Sequence[_Rank], sink: Sink, tick: Callable[[], bool] | None, until: Until, limit: float
) -> LaunchOutcome:
    codes: dict[int, int] = {}
    first: int | None = None
    cut = False
    unended: tuple[int, ...] = ()
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        for one in ranks:
            handle = os.pidfd_open(one.process.pid)
            stack.callback(os.close, handle)
            selector.register(handle, selectors.EVENT_READ, (one, None))
            for stream in one.lines:
                os.set_blocking(one.pipe(stream).fileno(), False)
                selector.register(one.pipe(stream), selectors.EVENT_READ, (one, stream))
        deadline: float | None = None
        due = 0.0 if tick else math.inf
        while selector.get_map():
            now = time.monotonic()
            if deadline is None:
                if now >= limit:
                    cut, unended = True, tuple(one.rank for one in ranks if one.rank not in codes)
                elif tick and now >= due:
                    due = now + TICK_SECONDS
                    cut = tick()
                if cut:
                    _signal([one.process for one in ranks], signal.SIGTERM)
                    deadline = time.monotonic() + GRACE_SECONDS
            wake = min(limit, due) if deadline is None else deadline
            timeout = None if wake == math.inf else wake - time.monotonic()
            if deadline is not None and timeout is not None and timeout <= 0:
                break
            for key, _ in sorted(selector.select(timeout), key=lambda event: event[0].data[1] is None):
                one, stream = key.data
                if stream is not None:
                    if not _read(one, stream, sink):
                        selector.unregister(key.fileobj)
                    continue
                selector.unregister(key.fileobj)
                codes[one.rank] = _exit_code(one.process)
                if first is None and not cut and (codes[one.rank] or until in (FIRST, one.rank)):
                    first, cut = (one.rank, False) if codes[one.rank] else (None, True)
                    _signal([other.process for other in ranks], signal.SIGTERM)
                    deadline = time.monotonic() + GRACE_SECONDS
                elif len(codes) == len(ranks) and deadline is None:
                    deadline = time.monotonic() + GRACE_SECONDS
        _stop([one.process for one in ranks], 0)
        for key in list(selector.get_map().values()):
            one, stream = key.data
            if stream is not None:
                _drain(one, stream, sink)
    codes |= {one.rank: _exit_code(one.process) for one in ranks if one.rank not in codes}
    terminated = any(one.terminated for one in ranks if one.rank == first)
    code = codes[first] if first is not None else TIMED_OUT if unended else 0
    return LaunchOutcome(code, first, codes, cut, terminated, unended)


def _read(one: _Rank, stream: Stream, sink: Sink) -> bool:
    """Pass on what came, a last line without newline too; whether more can come."""
    try:
        data = os.read(one.pipe(stream).fileno(), _CHUNK)
    except BlockingIOError:
        return True
    for line in one.lines[stream].feed(data) if data else one.lines[stream].end():
        one.terminated |= line == TERMINATED
        sink(one.rank, stream, line)
    return bool(data)


def _drain(one: _Rank, stream: Stream, sink: Sink) -> None:
    """Pass on what still sits in a pipe that somebody holds open, without waiting for more."""
    for _ in range(_PIPE // _CHUNK):
        if not _read(one, stream, sink):
            break
    for line in one.lines[stream].end():
        sink(one.rank, stream, line)


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    code = process.wait()
    return code if code >= 0 else 128 - code


def _signal(processes: Sequence[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    """To each one's whole process group: the program sits behind a proxy in it."""
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, number)


def _stop(processes: Sequence[subprocess.Popen[bytes]], grace: float = GRACE_SECONDS) -> None:
    """End what still runs: asked first, killed after a grace in seconds."""
    running = [process for process in processes if process.poll() is None]
    _signal(running, signal.SIGTERM)
    deadline = time.monotonic() + grace
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
    _signal(running, signal.SIGKILL)
    for process in running:
        process.wait()
