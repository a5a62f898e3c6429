"""``harness experiment run --on``: performs runs on the machines of a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.cli.experiment_view import View
from harness.cli.output import note, status
from harness.errors import InputError, quoted
from harness.experiment.campaign.campaign import Campaign
from harness.experiment.campaign.cluster import connected, read_on
from harness.experiment.campaign.machines import alive, check_cores
from harness.experiment.runner import Runner
from harness.experiment.runs import ExperimentRuns
from harness.model.format import count
from harness.networks.backends import NETNS
from harness.networks.registry import LocalRegistry

_LARGEST_PID = 1 << 22
"""PID_MAX_LIMIT (linux/threads.h): the name of a network on a machine ends in the process id of its maker."""


def check_options(on: str | None, jobs: str, where: Mapping[str, Any]) -> None:
    """Raise InputError if options do not go with ``--on`` or ``--cores``.

    Args:
        on: the cluster; None: only --cores is given.
        jobs: as the user wrote it.
        where: the experiment's options.
    """
    if on is None:
        raise InputError("--cores needs --on: it is the number of cores that a run takes of a cluster's machine")
    read_on(on, os.environ)
    if jobs != "1":
        raise InputError(
            "--jobs is for this machine: with --on, each machine performs as many runs as it has cores for"
        )
    if where["runtime"] != NETNS:
        raise InputError("--on performs runs in namespaces: leave out --runtime docker")
    LocalRegistry.check_name(f"{where['name']}-{_LARGEST_PID}")


def needed_cores(nodes: Mapping[str, int], cores: str | None) -> dict[str, float]:
    """The number of cores that each run takes, by its slug. Raises InputError.

    Args:
        nodes: number of nodes of each run, by its slug.
        cores: as the user wrote it; None: one per node.
    """
    if cores is None:
        return {slug: float(number) for slug, number in nodes.items()}
    if not cores.isascii() or not cores.isdecimal() or int(cores) < 1:
        raise InputError(f"--cores {quoted(cores)}: write a whole number of cores")
    return dict.fromkeys(nodes, float(cores))


@contextlib.contextmanager
def cluster(on: str, cores: Mapping[str, float]) -> Iterator[Any]:
    """Connect to a cluster, and check that it can take the runs; yields the module ray. Raises HarnessError.

    Args:
        on: as the user wrote it.
        cores: number of cores that each run takes, by its slug.
    """
    with contextlib.ExitStack() as stack:
        with status(f"connecting to {on}"):
            ray = stack.enter_context(connected(on))
            machines = alive(ray.nodes())
            if cores:
                check_cores(machines, cores)
        for one in machines:
            fewest, most = (one.runs(pick(cores.values())) for pick in (max, min)) if cores else (0, 0)
            several = f"{fewest} to {most} runs" if fewest != most else count(most, "run")
            note(f"machine {one.name}: {count(int(one.cores), 'core')}, {several} at a time")
        yield ray


def perform_on(
    ray: Any,
    experiment_runs: ExperimentRuns,
    runner: Runner,
    where: Mapping[str, Any],
    nodes: Mapping[str, int],
    cores: Mapping[str, float],
    print_line: Callable[[str], None],
) -> None:
    """Perform the runs that are left; see experiment_perform.perform.

    Args:
        ray: the module, connected.
        experiment_runs: as there.
        runner: as there.
        where: as there.
        nodes: as there.
        cores: number of cores that each run takes, by its slug.
        print_line: as there.
    """
    todo, experiment = experiment_runs.todo(), experiment_runs.experiment
    steps = None if experiment.command else experiment.schedule.steps
    at_a_time = sum(one.runs(max(cores.values(), default=1)) for one in alive(ray.nodes()))
    with View(todo, steps, experiment.limit_seconds, print_line, max(1, at_a_time)) as view:
        Campaign(ray, runner, where, nodes, cores, view).perform(todo)
