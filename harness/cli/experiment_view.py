"""Shows an experiment while it runs: bars and the remaining time on a terminal, elsewhere a line per run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from harness.cli.console import err, out
from harness.experiment.progress import RunProgress
from harness.experiment.remaining import experiment_remaining, run_remaining
from harness.experiment.spec import Run
from harness.model.format import format_time


class View:
    """Shows the progress of runs.

    Args:
        runs: all runs of this command.
        steps: of each run.
        limit: of each run's training, in seconds; None: no limit.
        print_line: prints a line that stays.
    """

    def __init__(self, runs: list[Run], steps: int, limit: float | None, print_line: Callable[[str], None]) -> None:
        self._print_line = print_line
        self._count, self._took = len(runs), list[float]()
        self._width = max((len(run.slug) for run in runs), default=0)
        self._began = 0.0
        self._limit = limit
        text = TextColumn("{task.description}", table_column=None)
        columns = (text, BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
        self._bars = Progress(
            *columns, console=err, transient=True, disable=not err.is_terminal, redirect_stdout=out.is_terminal
        )
        self._all = self._bars.add_task("runs", total=len(runs), note="")
        self._one = self._bars.add_task("", total=steps, note="", visible=False)
        self._steps = steps

    def begin(self, run: Run) -> None:
        """A run starts."""
        self._began = time.monotonic()
        self._bars.update(self._one, description=run.slug, completed=0, note="starting", visible=True)
        self._show_remaining(None)

    def watch(self, progress: RunProgress) -> None:
        """Show the progress of the run."""
        text = f"{_loss(progress)}  {format_time(round(progress.elapsed))}" if progress.step else "connecting"
        self._bars.update(self._one, completed=progress.step, note=text)
        left = run_remaining(progress.step, self._steps, progress.elapsed, self._limit)
        self._show_remaining(left)

    def end(self, run: Run, ending: Mapping[str, Any], progress: RunProgress | None) -> None:
        """A run has ended: print a line that stays."""
        self._took.append(time.monotonic() - self._began)
        self._bars.update(self._all, completed=len(self._took))
        self._bars.update(self._one, visible=False)
        self._print_line(f"{run.slug:<{self._width}}  {outcome(ending, progress, self._steps)}")

    def _show_remaining(self, run_left: float | None) -> None:
        """Show the remaining time of the experiment.

        Args:
            run_left: seconds that the present run still needs; None: unknown.
        """
        waiting = self._count - len(self._took) - 1
        seconds = experiment_remaining(self._took, waiting, time.monotonic() - self._began, run_left)
        self._bars.update(self._all, note="" if seconds is None else f"about {format_time(round(seconds))} left")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bars.stop()


def outcome(ending: Mapping[str, Any], progress: RunProgress | None, steps: int) -> str:
    """How a run ended, in words."""
    status = str(ending.get("status"))
    if status == "failed":
        last = next(reversed([line for line in ending.get("last_lines", []) if line.strip()]), "no output")
        rank = ending.get("failed_rank")
        return f"failed: {last}" if rank is None else f"failed: rank {rank}, exit code {ending['code']}: {last}"
    if progress is None or not progress.step:
        return status
    step = f"step {progress.step}" + ("" if progress.step >= steps else f" of {steps}")
    reached = progress.reached_at
    target = f"target at step {reached}" if reached is not None else "time limit" if status == "limit" else ""
    return "  ".join(part for part in (step, format_time(progress.elapsed), _loss(progress), target) if part)


def _loss(progress: RunProgress) -> str:
    return "loss is not a number" if progress.loss is None else f"loss {progress.loss:.3f}"
