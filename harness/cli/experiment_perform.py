"""``harness experiment run``: performs the runs that are left, one or several at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from harness.cli.experiment_view import View
from harness.experiment import side_by_side
from harness.experiment.jobs import slots
from harness.experiment.progress import RunProgress
from harness.experiment.runner import Runner
from harness.experiment.runs import ExperimentRuns
from harness.experiment.spec import Run
from harness.networks.backends import DOCKER


def perform(
    experiment_runs: ExperimentRuns,
    runner: Runner,
    where: dict[str, Any],
    nodes: Mapping[str, int],
    jobs: int,
    print_line: Callable[[str], None],
) -> None:
    """Perform the runs that are left. They are read here, under the lock: another command may have finished some.

    Args:
        experiment_runs: of the experiment.
        runner: performs a run.
        where: the experiment's options.
        nodes: number of nodes of each run, by its slug.
        jobs: number of runs at a time.
        print_line: prints a line that stays.
    """
    todo, experiment = experiment_runs.todo(), experiment_runs.experiment
    steps = None if experiment.command else experiment.schedule.steps
    with View(todo, steps, experiment.limit_seconds, print_line, jobs) as view:
        if jobs > 1:
            own = slots(jobs, runner.name, runner.subnets, apart=where["runtime"] == DOCKER)
            side_by_side.perform(todo, replace(runner, together=jobs), own, where, nodes, view)
            return
        for run in todo:
            _perform_one(run, runner, view)


def _perform_one(run: Run, runner: Runner, view: View) -> None:
    last: list[RunProgress] = []

    def watch(progress: RunProgress) -> None:
        last[:] = [progress]
        view.watch(run, progress)

    view.begin(run)
    ending = runner.perform(run, watch)
    view.end(run, ending, last[0] if last else None)
