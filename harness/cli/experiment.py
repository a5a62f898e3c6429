"""``harness experiment``: performs many runs from one file, and lists them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.backends.netns.environ import program_environment
from harness.cli import options
from harness.cli.experiment_on import check_options, cluster, needed_cores, perform_on
from harness.cli.experiment_perform import perform
from harness.cli.experiment_preview import RUN_DIR, show_runs
from harness.cli.output import note, print_json, say, show, status, table
from harness.errors import HarnessError, InputError, UnavailableError
from harness.experiment.estimate import local_step, training_seconds
from harness.experiment.jobs import check_files, read_jobs, slots
from harness.experiment.measure import Measure
from harness.experiment.preflight import check_command, check_measure, check_scenarios, check_training
from harness.experiment.recorded import RUNS, recorded
from harness.experiment.runner import Runner, Subnets, plan_of, sharing
from harness.experiment.runs import ExperimentRuns, load_folder, new_folder
from harness.experiment.spec import Experiment, Run
from harness.experiment.spec_file import load_experiment
from harness.experiment.worker import placement_of
from harness.model.format import count
from harness.model.plan_options import DEFAULTS, NetworkOptions
from harness.networks.backends import DOCKER, NETNS
from harness.networks.registry import LocalRegistry

app = typer.Typer(no_args_is_help=True, help="Perform many runs from one file: run, list.")
_MANY_RUNS = 100
_OPTIONS = ("subnet", "subnet6", "runtime", "image", "volumes", "gpus", "engine", "congestion_control")


def register(parent: typer.Typer) -> None:
    """Add the verb and its own."""
    parent.add_typer(app, name="experiment")


EPILOG = options.examples(
    "harness experiment run examples/strategies.yaml",
    "harness experiment run examples/own_script.yaml --dry-run",
    "harness experiment run --resume runs/strategies-20261122-201500",
    then="Then: harness report runs/ID. "
    "While it runs, reshape links from another terminal: harness link set 0-1 --delay 120ms",
)


@app.command("run", epilog=EPILOG)
@options.network_options(*_OPTIONS)
def run_experiment(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The experiment: a YAML file.", show_default=False)] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Folder of an experiment to continue: runs/ID.", show_default=False),
    ] = None,
    root: Annotated[Path, typer.Option("--runs", help="Where to create the experiment's folder.")] = RUNS,
    jobs: Annotated[
        str,
        typer.Option(
            "--jobs", "-j", help="Runs at a time, or auto: cores / nodes. They share cores, which distorts times."
        ),
    ] = "1",
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="CLUSTER",
            help="Perform the runs on the machines of a Ray cluster (docs/campaigns.md): ray (RAY_ADDRESS, or this "
            "machine's), ray://HOST:10001 or HOST:6379.",
            show_default=False,
        ),
    ] = None,
    cores: Annotated[
        str | None,
        typer.Option(
            "--cores", help="With --on: number of cores for each run; default: one per node.", show_default=False
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start even if there are many runs.")] = False,
    chosen: NetworkOptions = DEFAULTS,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Run every combination that a file lists, each in its own network.

    The file lists profiles, topologies, seeds and strategies; or, instead of strategies, a command of your own with a
    grid of parameters.

    If a rank fails, its run is marked as failed, the other runs follow, and the exit code is 70. --resume skips
    finished runs, and continues stopped runs from their last checkpoint; failed runs, and runs of a command, start
    again. It takes its options from the folder.
    """
    if (file is None) == (resume is None):
        raise InputError("name a file, or the folder of an experiment to --resume")
    where: dict[str, Any] = {
        "runtime": chosen.runtime,
        "engine": chosen.engine,
        "congestion-control": chosen.congestion_control,
        "image": chosen.image,
        "volume": list(chosen.volumes),
        "gpus": chosen.gpus,
        "subnet": chosen.subnet,
        "subnet6": chosen.subnet6,
        "name": name,
    }
    _check(where)
    with status("checking the experiment"):
        if resume:
            experiment, where = load_folder(resume, where, _given(context, where))
            _check(where)
        else:
            assert file is not None
            experiment = _load(file)
        if on is not None or cores is not None:
            check_options(on, jobs, where)
        todo = ExperimentRuns(experiment, resume).todo() if resume else list(experiment.runs())
        nodes, at_a_time = _preflight(experiment, todo, where, jobs, away=on is not None)
    needs = needed_cores(nodes, cores)
    if dry_run:
        show_runs(experiment, todo, nodes, _predicted(experiment, todo, where), json_)
        if on is not None:
            with cluster(on, needs):
                return
        return
    if on is None and not experiment.command and where["runtime"] == NETNS:
        check_training(experiment.task.name)
    runs = count(len(todo), "run")
    if len(todo) > _MANY_RUNS and not yes:
        raise InputError(f"{runs}: add --yes to start them, or list them with --dry-run")
    with contextlib.nullcontext() if on is None else cluster(on, needs) as ray:
        folder = resume or new_folder(root, experiment, file or Path(), where, time.localtime())
        note(f"{runs}; records in {folder}")
        if at_a_time > 1:
            note(sharing(at_a_time))
        experiment_runs = ExperimentRuns(experiment, folder)
        print_line = note if json_ else say
        try:
            runner = Runner(experiment, folder, where["name"], placement_of(where), _once_each(), _subnets(where))
            with experiment_runs.lock():
                if ray is None:
                    perform(experiment_runs, runner, where, nodes, at_a_time, print_line)
                else:
                    perform_on(ray, experiment_runs, runner, where, nodes, needs, print_line)
        except BaseException:
            note(f"to continue: harness experiment run --resume {folder}{f' --on {on}' if on else ''}")
            raise
    statuses = list(experiment_runs.statuses())
    if json_:
        print_json({"folder": str(folder), "runs": [{"slug": run.slug, "status": status} for run, status in statuses]})
    else:
        _show_reasons(folder)
    note(f"try: harness report {folder} --open")
    if wrong := [run.slug for run, status in statuses if status == "failed"]:
        note(f"{count(len(wrong), 'run')} failed: {', '.join(wrong)}; again: --resume {folder}")
        raise typer.Exit(HarnessError.exit_code)


@app.command("list", epilog=options.examples("harness experiment list", "harness experiment list --json"))
def list_recorded(
    root: Annotated[Path, typer.Option("--runs", help="Folder of the experiments' folders.")] = RUNS,
    json_: options.JsonOption = False,
) -> None:
    """List experiments and single runs, newest first, with their state."""
    found = recorded(root)
    if json_:
        print_json([one.to_json() for one in found])
        return
    if not found:
        note(f"there are no records in {root}/; 'harness experiment run FILE' makes some")
        return
    made = table("", "folder", "kind", "state", "runs", "started")
    for one in found:
        statuses = ", ".join(f"{number} {status}" for status, number in one.runs.items())
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.created))
        made.add_row(str(one.folder), one.kind, one.state, statuses, started)
    show(made)


def _show_reasons(folder: Path) -> None:
    """Print why each strategy took so long, if any run has left a record."""
    from harness.experiment.report.analysis import analyse
    from harness.experiment.report.load import load_experiment as load_records
    from harness.experiment.report.table import reasons_table

    try:
        with status("reading records"):
            reasons = reasons_table(analyse(load_records(folder)))
    except InputError:
        return
    say("")
    show(reasons)


def _nodes(experiment: Experiment, runs: list[Run], subnets: Subnets) -> dict[str, int]:
    """The number of nodes of each run, by its slug. Raises InputError if a network is not possible."""
    sizes: dict[tuple[str, str], int] = {}
    for run in runs:
        network = run.profile, run.topology
        if network not in sizes:
            sizes[network] = plan_of(experiment, run, subnets).size
    return {run.slug: sizes[run.profile, run.topology] for run in runs}


def _preflight(
    experiment: Experiment, runs: list[Run], where: Mapping[str, Any], jobs: str, *, away: bool
) -> tuple[dict[str, int], int]:
    """Check all that can be checked before the first network starts. Raises InputError.

    Args:
        experiment: of the runs.
        runs: that are left.
        where: the experiment's options.
        jobs: as the user wrote it.
        away: whether the runs are on other machines, whose programs are not known here.

    Returns:
        The number of nodes of each run, by its slug, and the number of runs at a time.
    """
    in_containers = where["runtime"] == DOCKER
    nodes = _nodes(experiment, runs, _subnets(where))
    elastic = experiment.schedule.elastic > 0
    check_scenarios(runs, lambda run: plan_of(experiment, run, _subnets(where)), elastic=elastic)
    if experiment.command:
        values = [run.values(nodes[run.slug], RUN_DIR) for run in runs]
        check_command(experiment.command, values, None if in_containers or away else program_environment())
        check_measure(experiment.measure or Measure(), in_containers)
    at_a_time = read_jobs(jobs, max(nodes.values(), default=1), len(runs))
    if at_a_time > 1:
        check_files(experiment, nodes)
        for slot in slots(at_a_time, where["name"], _subnets(where), apart=in_containers):
            LocalRegistry.check_name(slot.name)
            _nodes(experiment, runs, slot.subnets)  # each part of the subnets has enough addresses
    return nodes, at_a_time


def _predicted(experiment: Experiment, runs: list[Run], where: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of training by slug; empty where nothing can be predicted."""
    with status("timing a step of the task"):
        step = local_step(experiment)
    if step is None:
        return {}
    return training_seconds(experiment, runs, lambda run: plan_of(experiment, run, _subnets(where)), step)


def _subnets(where: Mapping[str, Any]) -> Subnets:
    return where["subnet"], where["subnet6"]


def _check(where: Mapping[str, Any]) -> None:
    LocalRegistry.check_name(where["name"])
    placement_of(where).check()


def _given(context: typer.Context, where: Mapping[str, Any]) -> list[str]:
    """The options that the user gave; of the environment only the network's name: the rest is for new experiments."""
    found = []
    for option in where:
        source = context.get_parameter_source("volumes" if option == "volume" else option.replace("-", "_"))
        if source and source.name in (("COMMANDLINE", "ENVIRONMENT") if option == "name" else ("COMMANDLINE",)):
            found.append(option)
    return found


def _load(file: Path) -> Experiment:
    """The experiment; if PyTorch is missing here (the image may have it), strategies' options are not checked."""
    try:
        return load_experiment(file)
    except UnavailableError:
        return load_experiment(file, check_options=False)


def _once_each() -> Callable[[str], None]:
    """A function that prints each message once, though every run may have it."""
    seen: set[str] = set()

    def notify(text: str) -> None:
        if text not in seen:
            seen.add(text)
            note(text)

    return notify
