"""What a run is started with: the workload's own parser reads what we write, and containers get the user's files."""

import json
from pathlib import Path

import pytest

from harness.experiment.measure import Measure
from harness.experiment.program import facts_of, program_of, train_options
from harness.experiment.runner import Runner, plan_of
from harness.experiment.spec import Experiment, Run
from harness.experiment.variants import CommandVariant, OwnCommand, StrategyVariant
from harness.networks.placement import Placement
from harness.run_files import RunFolder
from harness.training.options import Schedule
from harness.training.tasks.task_options import TaskOptions
from harness.training.train import read_arguments

TASKS = [
    TaskOptions(),
    TaskOptions("text", "dirichlet:0.3", 16, "sgd", 1e-05, 64, 2, 48, "/some/text of mine.txt"),
]


def experiment(**given):
    return Experiment("e", ("wan",), ("ring",), (StrategyVariant("ddp"),), **given)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("resume", [False, True])
def test_the_workload_reads_what_the_experiment_says(task, resume):
    variant = StrategyVariant("/x/mine.py:Mine", {"H": 20, "lr": 0.7, "quantise": "int8", "nesterov": True})
    made = experiment(task=task, schedule=Schedule(33, 7, 0))
    asked = train_options(made, Run("wan", "ring", variant, 5), "/out", resume)
    read = read_arguments(["--json", json.dumps(asked.to_json())], {})()
    assert read == asked
    assert (read.task, read.schedule, read.strategy, read.options) == (task, made.schedule, *vars(variant).values())
    assert (read.seed, read.out, read.resume, read.describe) == (5, Path("/out"), resume, False)


def test_the_seed_draws_the_network_too():
    made = experiment(nodes=3)
    plans = [plan_of(made, Run("wan", "ring", StrategyVariant("ddp"), seed)) for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]
    assert plans[0].size == 3
    assert plan_of(made, Run("wan", "ring", StrategyVariant("ddp"), 1, 0)) == plans[0]
    other = plan_of(made, Run("wan", "ring", StrategyVariant("ddp"), 0), ("198.18.4.0/24", None))
    assert str(other.addressing.ipv4_net) == "198.18.4.0/24"


def runner(home, task=TASKS[0]):
    return Runner(experiment(task=task), Path("/runs/e"), "net", home, lambda _: None)


def test_containers_have_the_runs_folder_and_the_files_that_the_user_named(tmp_path):
    run = Run("wan", "ring", StrategyVariant("/x/mine.py:Mine"), 0)
    home = runner(Placement("docker", volumes=("/a:/b",)), TASKS[1])._placement_of(run, RunFolder(tmp_path))
    assert home.volumes == (
        "/a:/b",
        f"{tmp_path}:/runs",
        "/x/mine.py:/x/mine.py:ro",
        "/some/text of mine.txt:/some/text of mine.txt:ro",
    )
    plain = runner(Placement("docker"))._placement_of(
        Run("wan", "ring", StrategyVariant("ddp"), 0), RunFolder(tmp_path)
    )
    assert plain.volumes == (f"{tmp_path}:/runs",)


def test_namespaces_see_all_files_anyway(tmp_path):
    home = Placement()
    assert runner(home)._placement_of(Run("wan", "ring", StrategyVariant("/x/mine.py"), 0), RunFolder(tmp_path)) == home


OWN = OwnCommand(
    ("python", "train.py", "--lr={lr}", "--token", "{lr}"), {"KEY": "hunter2", "OUT": "{run_dir}"}, Path("/x")
)
RUN = Run("wan", "ring", CommandVariant(OWN, {"lr": "0.1"}), 5)


def own(**given):
    return Experiment("e", ("wan",), ("ring",), (RUN.variant,), measure=Measure("log", "loss"), **given)


def test_a_command_is_started_with_its_values():
    program = program_of(own(), RUN, 4, "/out", "python3", resume=True)
    assert program.argv == ("python", "train.py", "--lr=0.1", "--token", "0.1")
    assert program.env == {"KEY": "hunter2", "OUT": "/out", "HARNESS_SEED": "5"}
    assert program.folder == Path("/x")


def test_what_is_recorded_of_a_command_has_no_secret():
    facts = facts_of(own(), RUN, 4, "/out")
    assert facts == {
        "seed": 5,
        "label": "lr=0.1",
        "command": ["python", "train.py", "--lr=0.1", "--token", "***"],
        "parameters": {"lr": "0.1"},
        "measure": {"kind": "log", "name": "loss"},
    }


@pytest.mark.parametrize(("volumes", "more"), [((), ("/x:/work:ro",)), (("/a:/work",), ())])
def test_a_command_in_containers_starts_in_its_files_folder_unless_another_is_there(tmp_path, volumes, more):
    made = Runner(own(), Path("/runs/e"), "net", Placement("docker", volumes=volumes), lambda _: None)
    assert made._placement_of(RUN, RunFolder(tmp_path)).volumes == (*volumes, f"{tmp_path}:/runs", *more)
