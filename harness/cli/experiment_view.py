"""Shows an experiment while it runs: progress bars and the remaining time on a terminal, elsewhere lines.

Each run leaves a line. Elsewhere than on a terminal a run also notes on standard error how far it is, every 10 s.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from harness.cli.console import err, out
from harness.cli.output import note
from harness.experiment.progress import RunProgress
from harness.experiment.remaining import experiment_remaining, run_remaining
from harness.experiment.spec import Run
from harness.model.format import format_time

_NOTE_SECONDS: Final = 10.0


class View:
    """Shows the progress of runs.

    Args:
        runs: all runs of this command.
        steps: of each run; None: not known, as of commands.
        limit: of each run's training, in seconds; None: no limit.
        print_line: prints a line that stays.
        jobs: number of runs at a time.
    """

    def __init__(
        self,
        runs: list[Run],
        steps: int | None,
        limit: float | None,
        print_line: Callable[[str], None],
        jobs: int = 1,
    ) -> None:
        self._print_line = print_line
        self._count, self._took = len(runs), list[float]()
        self._width = max((len(run.slug) for run in runs), default=0)
        self._limit, self._steps, self._jobs = limit, steps, jobs
        text = TextColumn("{task.description}", table_column=None)
        columns = (text, BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
        self._bars = Progress(
            *columns, console=err, transient=True, disable=not err.is_terminal, redirect_stdout=out.is_terminal
        )
        self._all = self._bars.add_task("runs", total=len(runs), note="")
        self._running: dict[str, tuple[TaskID, float]] = {}
        """The bar of each current run, and when it began."""
        self._noted: dict[str, float] = {}
        """When each current run noted its progress last, or began."""

    def begin(self, run: Run) -> None:
        """A run starts."""
        self._running[run.slug] = self._bars.add_task(run.slug, total=self._steps, note="starting"), time.monotonic()
        self._noted[run.slug] = time.monotonic()
        self._show_remaining(run, None)

    def watch(self, run: Run, progress: RunProgress) -> None:
        """Show the progress of a run."""
        bar, began = self._running[run.slug]
        if progress.step:
            text = f"{_value(progress)}  {format_time(round(progress.elapsed))}"
        else:
            text = "connecting" if self._steps else f"running  {format_time(round(time.monotonic() - began))}"
        self._bars.update(bar, completed=progress.step, note=text)
        if not err.is_terminal and time.monotonic() >= self._noted[run.slug] + _NOTE_SECONDS:
            self._noted[run.slug] = time.monotonic()
            of = f" of {self._steps}" if self._steps else ""
            note(f"{run.slug}  step {progress.step}{of}  {text}" if progress.step else f"{run.slug}  {text}")
        left = run_remaining(progress.step, self._steps, progress.elapsed, self._limit) if self._steps else None
        self._show_remaining(run, left)

    def end(self, run: Run, ending: Mapping[str, Any], progress: RunProgress | None) -> None:
        """A run has ended."""
        bar, began = self._running.pop(run.slug)
        self._took.append(time.monotonic() - began)
        self._bars.update(self._all, completed=len(self._took))
        self._bars.remove_task(bar)
        self._print_line(f"{run.slug:<{self._width}}  {outcome(ending, progress, self._steps)}")

    def _show_remaining(self, run: Run, run_left: float | None) -> None:
        """Show the remaining time of the experiment.

        Args:
            run: a current one.
            run_left: seconds that it still needs; None: unknown.
        """
        waiting = math.ceil((self._count - len(self._took) - len(self._running)) / self._jobs)
        seconds = experiment_remaining(self._took, waiting, time.monotonic() - self._running[run.slug][1], run_left)
        self._bars.update(self._all, note="" if seconds is None else f"about {format_time(round(seconds))} left")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bars.stop()


def outcome(ending: Mapping[str, Any], progress: RunProgress | None, steps: int | None) -> str:
    """How a run ended, in words.

    Args:
        ending: its end.json.
        progress: the last one; None: the run never began.
        steps: of a whole run; None: not known, as of commands.
    """
    status = str(ending.get("status"))
    if status == "failed":
        last = next(reversed([line for line in ending.get("last_lines", []) if line.strip()]), "no output")
        rank = ending.get("failed_rank")
        return f"failed: {last}" if rank is None else f"failed: rank {rank}, exit code {ending['code']}: {last}"
    if progress is None or not (progress.step or steps is None):
        return status
    reached = progress.reached_at
    target = f"target at step {reached}" if reached is not None else "time limit" if status == "limit" else ""
    if steps is None:
        seconds = format_time(ending["seconds"])
        found = f"{_value(progress)} at step {progress.step}" if progress.step else ""
        missing = next((note for note in ending.get("notes", []) if note.startswith(f"no {progress.name} ")), "")
        return "  ".join(part for part in (seconds, found or missing, target) if part)
    step = f"step {progress.step}" + ("" if progress.step >= steps else f" of {steps}")
    return "  ".join(part for part in (step, format_time(progress.elapsed), _value(progress), target) if part)


def _value(progress: RunProgress) -> str:
    if progress.value is None:
        return f"{progress.name} is not a number"
    return f"{progress.name} {progress.value:.3f}"
