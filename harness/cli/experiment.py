"""``harness experiment``: many runs from one file, recorded so that they can be compared."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli import options
from harness.cli.experiment_view import View
from harness.cli.output import note, print_json, say, show, status, table
from harness.errors import HarnessError, InputError, UnavailableError
from harness.experiment.progress import RunProgress
from harness.experiment.recorded import RUNS, recorded
from harness.experiment.runner import Runner, plan_of
from harness.experiment.runs import ExperimentRuns, failed, load_folder, new_folder
from harness.experiment.spec import Experiment, Run, short
from harness.experiment.spec_file import load_experiment
from harness.model.format import count
from harness.model.plan_options import DEFAULTS, NetworkOptions
from harness.networks.backends import NETNS
from harness.networks.placement import Placement
from harness.networks.registry import LocalRegistry

app = typer.Typer(no_args_is_help=True, help="Many runs from one file: run, list.")
_MANY_RUNS = 100
_OPTIONS = ("subnet", "subnet6", "runtime", "image", "volumes", "engine", "congestion_control")


def register(parent: typer.Typer) -> None:
    """Add the verb and its own."""
    parent.add_typer(app, name="experiment")


EPILOG = options.examples(
    "harness experiment run examples/strategies.yaml",
    "harness experiment run examples/strategies.yaml --dry-run",
    "harness experiment run --resume runs/strategies-20261122-201500",
    then="Then: harness report runs/ID. "
    "While it runs, reshape links from another terminal: harness link set 0-1 --delay 120ms",
)


@app.command("run", epilog=EPILOG)
@options.network_options(*_OPTIONS)
def run_experiment(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="What to do: a YAML file.", show_default=False)] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Folder of an experiment to go on with: runs/ID.", show_default=False),
    ] = None,
    root: Annotated[Path, typer.Option("--runs", help="Where the experiment's folder is made.")] = RUNS,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start also where it is many runs, or takes hours.")] = False,
    chosen: NetworkOptions = DEFAULTS,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Do every combination of profiles, topologies, strategies and seeds, each in a network of its own.

    A run in which a rank fails is marked so, and the others go on; the exit code is 70 then. What has finished is not
    done again by --resume; a run that was stopped goes on from its last saved state, one that failed begins anew. Where
    its networks live, and what makes their links, --resume knows from the folder.
    """
    if (file is None) == (resume is None):
        raise InputError("name a file, or the folder of an experiment to --resume")
    where: dict[str, Any] = {
        "runtime": chosen.runtime,
        "engine": chosen.engine,
        "congestion-control": chosen.congestion_control,
        "image": chosen.image,
        "volume": list(chosen.volumes),
        "subnet": chosen.subnet,
        "subnet6": chosen.subnet6,
        "name": name,
    }
    _check(where)
    with status("checking what is to be done"):
        if resume:
            experiment, where = load_folder(resume, where, _given(context, where))
            _check(where)
        else:
            assert file is not None
            experiment = _load(file)
        todo = ExperimentRuns(experiment, resume).todo() if resume else list(experiment.runs())
        subnets = where["subnet"], where["subnet6"]
        for network in {(run.profile, run.topology): run for run in todo}.values():
            plan_of(experiment, network, subnets)  # raises InputError before anything is made
    if dry_run:
        _show(experiment, todo, json_)
        return
    _check_torch(where["runtime"])
    runs = count(len(todo), "run")
    if len(todo) > _MANY_RUNS and not yes:
        raise InputError(f"{runs}: add --yes where that is meant, or see which by --dry-run")
    folder = resume or new_folder(root, experiment, file or Path(), where, time.localtime())
    note(f"{runs}; records in {folder}")
    campaign = ExperimentRuns(experiment, folder)
    try:
        runner = Runner(experiment, folder, where["name"], _home(where), _told_once(), subnets)
        with campaign.alone():
            _perform(campaign, runner, note if json_ else say)
    except BaseException:
        note(f"to go on: harness experiment run --resume {folder}")
        raise
    statuses = list(campaign.statuses())
    if json_:
        print_json({"folder": str(folder), "runs": [{"slug": run.slug, "status": status} for run, status in statuses]})
    note(f"try: harness report {folder} --open")
    if wrong := failed(statuses):
        note(f"{count(len(wrong), 'run')} failed: {', '.join(run.slug for run in wrong)}; again: --resume {folder}")
        raise typer.Exit(HarnessError.exit_code)


@app.command("list", epilog=options.examples("harness experiment list", "harness experiment list --json"))
def list_recorded(
    root: Annotated[Path, typer.Option("--runs", help="Where the folders are.")] = RUNS,
    json_: options.JsonOption = False,
) -> None:
    """List the experiments and single runs on this disk, the newest first, with their state."""
    found = recorded(root)
    if json_:
        print_json([one.to_json() for one in found])
        return
    if not found:
        note(f"there are no records in {root}/; 'harness experiment run FILE' makes some")
        return
    made = table("", "folder", "kind", "state", "runs", "begun")
    for one in found:
        statuses = ", ".join(f"{number} {status}" for status, number in one.runs.items())
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.created))
        made.add_row(str(one.folder), one.kind, one.state, statuses, begun)
    show(made)


def _check_torch(runtime: str) -> None:
    """Raise UnavailableError where nodes would run this Python, and it has no PyTorch: no run could begin."""
    if runtime == NETNS and importlib.util.find_spec("torch") is None:
        raise UnavailableError(
            f"PyTorch is missing in {sys.executable}, which every node would run: pip install torch, "
            "or --runtime docker, whose image has it"
        )


def _check(where: Mapping[str, Any]) -> None:
    LocalRegistry.check_name(where["name"])
    _home(where).check()


def _home(where: Mapping[str, Any]) -> Placement:
    """Where nodes live, by the options' names."""
    return Placement(
        where["runtime"], where["engine"], where["congestion-control"], where["image"], tuple(where["volume"])
    )


def _given(context: typer.Context, where: Mapping[str, Any]) -> list[str]:
    """Options that the user has written; the environment's are for what is begun, but a network's name is of today."""
    found = []
    for option in where:
        source = context.get_parameter_source("volumes" if option == "volume" else option.replace("-", "_"))
        if source and source.name in (("COMMANDLINE", "ENVIRONMENT") if option == "name" else ("COMMANDLINE",)):
            found.append(option)
    return found


def _load(file: Path) -> Experiment:
    """The experiment, with strategies' options unchecked where there is no PyTorch here (but in the image)."""
    try:
        return load_experiment(file)
    except UnavailableError:
        return load_experiment(file, check_options=False)


def _perform(campaign: ExperimentRuns, runner: Runner, print_line: Callable[[str], None]) -> None:
    """Do what is left to do now that no other command works on it: another one may have done some of it meanwhile."""
    todo, experiment = campaign.todo(), campaign.experiment
    with View(todo, experiment.schedule.steps, experiment.limit_seconds, print_line) as view:
        for run in todo:
            last: list[RunProgress] = []

            def watch(progress: RunProgress, last: list[RunProgress] = last) -> None:
                last[:] = [progress]
                view.watch(progress)

            view.begin(run)
            ending = runner.perform(run, watch)
            view.end(run, ending, last[0] if last else None)


def _told_once() -> Callable[[str], None]:
    """A note that is the same for every run is told once."""
    seen: set[str] = set()

    def tell(text: str) -> None:
        if text not in seen:
            seen.add(text)
            note(text)

    return tell


def _show(experiment: Experiment, todo: list[Run], json_: bool) -> None:
    if json_:
        print_json({"experiment": experiment.to_json(), "runs": [{"slug": run.slug} for run in todo]})
        return
    made = table(f"Experiment {experiment.name}", "run", "profile", "topology", "strategy", "seed>")
    for run in todo:
        made.add_row(run.slug, short(run.profile), short(run.topology), run.variant.label, str(run.seed))
    show(made)
    say(count(len(todo), "run"))
