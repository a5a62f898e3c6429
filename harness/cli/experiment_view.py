"""What is seen of an experiment while it runs: bars with an estimate on a terminal, a line per run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from harness.cli.output import err, out
from harness.experiment.estimate import left
from harness.experiment.progress import RunProgress
from harness.experiment.spec import Run
from harness.model.format import format_time


class View:
    """Shows runs as they go on.

    Args:
        runs: all that are to be done now.
        estimates: seconds of each, by slug.
        steps: of each run.
        tell: called with a line that stays.
    """

    def __init__(
        self, runs: list[Run], estimates: Mapping[str, float], steps: int, tell: Callable[[str], None]
    ) -> None:
        self._tell = tell
        self._estimates, self._took = dict(estimates), dict[str, float]()
        self._width = max((len(run.slug) for run in runs), default=0)
        self._running: str | None = None
        self._began = 0.0
        text = TextColumn("{task.description}", table_column=None)
        columns = (text, BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[told]}"))
        self._bars = Progress(
            *columns, console=err, transient=True, disable=not err.is_terminal, redirect_stdout=out.is_terminal
        )
        self._all = self._bars.add_task("runs", total=len(runs), told="")
        self._one = self._bars.add_task("", total=steps, told="", visible=False)
        self._steps = steps

    def begin(self, run: Run) -> None:
        """A run starts."""
        self._running, self._began = run.slug, time.monotonic()
        self._bars.update(self._one, description=run.slug, completed=0, told="starting", visible=True)
        self._tell_rest()

    def watch(self, progress: RunProgress) -> None:
        """How far the run is."""
        told = f"{_loss(progress)}  {format_time(round(progress.elapsed))}" if progress.step else "connecting"
        self._bars.update(self._one, completed=progress.step, told=told)
        self._tell_rest()

    def end(self, run: Run, ending: Mapping[str, Any], progress: RunProgress | None) -> None:
        """The run is over: a line that stays."""
        self._took[run.slug] = time.monotonic() - self._began
        self._running = None
        self._bars.update(self._all, completed=len(self._took))
        self._bars.update(self._one, visible=False)
        self._tell(f"{run.slug:<{self._width}}  {outcome(ending, progress, self._steps)}")

    def _tell_rest(self) -> None:
        rest = left(self._estimates, self._took, self._running, time.monotonic() - self._began)
        self._bars.update(self._all, told=f"about {format_time(round(rest))} left")

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
    return "  ".join(part for part in (step, f"{format_time(progress.elapsed)}", _loss(progress), target) if part)


def _loss(progress: RunProgress) -> str:
    return "loss is no number" if progress.loss is None else f"loss {progress.loss:.3f}"
