"""Performs several runs of an experiment at a time, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from harness.errors import HarnessError
from harness.experiment import worker
from harness.experiment.jobs import Slot
from harness.experiment.progress import RunProgress, progress_of
from harness.experiment.runner import Runner
from harness.experiment.spec import Run
from harness.linux.line_splitter import LineSplitter

_TICK_SECONDS: Final = 0.25
_GRACE_SECONDS: Final = 60.0
"""Time for a worker to stop its ranks (launch.GRACE_SECONDS) and to remove its network, also one of containers."""


class Viewer(Protocol):
    """Shows the progress of runs."""

    def begin(self, run: Run) -> None:
        """A run starts."""

    def watch(self, run: Run, progress: RunProgress) -> None:
        """Show its progress."""

    def end(self, run: Run, ending: Mapping[str, Any], progress: RunProgress | None) -> None:
        """It has ended."""


@dataclass
class _Worker:
    run: Run
    runner: Runner
    process: subprocess.Popen[bytes]
    began: float
    lines: LineSplitter = field(default_factory=LineSplitter)
    progress: RunProgress | None = None
    error: str = ""

    def read(self, nodes: int) -> None:
        """Read the worker's output and the progress of its run."""
        assert self.process.stdout
        while data := _available(self.process.stdout.fileno()):
            for line in self.lines.feed(data):
                self._take(line)
        folder = self.runner.folder_of(self.run)
        if self.progress is None and float((folder.facts or {}).get("started", 0)) >= self.began:
            since = float((folder.facts or {})["started"])
            self.progress = progress_of(self.runner.experiment, folder, nodes, since)
        if self.progress:
            self.progress.update()

    def _take(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            self.error = said.get("error", self.error)
            note = said.get("note")
        except (ValueError, AttributeError):  # printed by something else
            note = line.decode(errors="replace")
        if note:
            self.runner.notify(note)

    def ending(self) -> Mapping[str, Any]:
        """The end.json of the run. Raises HarnessError where the run could not be performed."""
        code = self.process.returncode
        ending = self.runner.folder_of(self.run).ending
        if code == 0 and ending is not None:
            return ending
        error = HarnessError(self.error or f"{self.run.slug}: the process of this run ended with exit code {code}")
        error.exit_code = code if self.error else HarnessError.exit_code
        raise error


def perform(
    todo: Sequence[Run],
    runner: Runner,
    slots: Sequence[Slot],
    where: dict[str, Any],
    nodes: Mapping[str, int],
    view: Viewer,
    *,
    tick: Callable[[], None] = lambda: None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Perform runs, one in each slot at a time. An exception here, Ctrl-C too, stops all of them.

    Args:
        todo: the runs.
        runner: for all runs; a slot replaces its name and subnets.
        slots: one for each run at a time.
        where: the experiment's options.
        nodes: number of nodes by a run's slug.
        view: shows the progress.
        tick: called several times a second; may raise.
        environ: of the processes; None: ours.

    Raises:
        HarnessError: a run could not be performed; the others are stopped.
    """
    waiting, free, workers = list(todo), list(slots), list[tuple[Slot, _Worker]]()
    try:
        while waiting or workers:
            while waiting and free:
                slot, run = free.pop(0), waiting.pop(0)
                view.begin(run)
                workers.append(
                    (slot, _start(run, replace(runner, name=slot.name, subnets=slot.subnets), where, environ))
                )
            time.sleep(_TICK_SECONDS)
            tick()
            for slot, one in list(workers):
                ended = one.process.poll() is not None
                one.read(nodes[one.run.slug])
                if not ended:
                    if one.progress:
                        view.watch(one.run, one.progress)
                    continue
                workers.remove((slot, one))
                free.append(slot)
                _close(one)
                view.end(one.run, one.ending(), one.progress)
    except BaseException as end:
        _stop([one for _, one in workers], stop_signal(end))
        raise


def stop_signal(end: BaseException) -> int:
    """The signal that passes on what ended this process: SIGTERM or SIGHUP by its exit code, else SIGINT."""
    number = end.code - 128 if isinstance(end, SystemExit) and isinstance(end.code, int) else signal.SIGINT
    return int(number if number in (signal.SIGTERM, signal.SIGHUP) else signal.SIGINT)


def _start(run: Run, runner: Runner, where: dict[str, Any], environ: Mapping[str, str] | None) -> _Worker:
    """Start a worker in a session of its own: Ctrl-C on the terminal reaches us alone, and we pass it on."""
    began = time.time()
    argv = worker.arguments(runner, run.slug, where)
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, env=environ
    )
    assert process.stdout
    os.set_blocking(process.stdout.fileno(), False)
    return _Worker(run, runner, process, began)


def _stop(workers: Sequence[_Worker], number: int) -> None:
    """Send a signal to all workers, and wait until they have taken their networks down."""
    for one in workers:
        if one.process.poll() is None:
            one.process.send_signal(number)
    deadline = time.monotonic() + _GRACE_SECONDS
    for one in workers:
        try:
            one.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
        _close(one)


def _close(one: _Worker) -> None:
    if one.process.stdout:
        one.process.stdout.close()


def _available(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return b""
