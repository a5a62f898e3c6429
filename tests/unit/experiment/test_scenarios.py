"""Scenarios in an experiment's file: an axis of its runs, checked before anything is made."""

import json

import pytest

from harness.errors import InputError
from harness.experiment.preflight import check_scenarios
from harness.experiment.runner import plan_of
from harness.experiment.spec import Experiment
from harness.experiment.spec_file import load_experiment

STRATEGIES = "profiles: wan\nstrategies: [ddp, local]\n"
COMMAND = 'profiles: wan\ncommand: [sh, -c, "echo {scenario} {lr}"]\n'


@pytest.fixture
def read(tmp_path):
    (tmp_path / "flaky.yaml").write_text("events: [{at: 1s, down: {edge: 0-1}}]")
    (tmp_path / "far.yaml").write_text("events:\n  - {at: 1s, down: {edge: 0-9}}")

    def load(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return load_experiment(path, check_options=False)

    return load


def test_without_one_runs_are_called_as_ever(read):
    made = read(STRATEGIES)
    assert made.scenarios == ("none",)
    assert [run.slug for run in made.runs()] == ["wan.fully_connected.ddp.seed0", "wan.fully_connected.local.seed0"]


def test_one_for_all_runs_is_no_part_of_their_names(read, tmp_path):
    made = read(STRATEGIES + "scenario: flaky.yaml\n")
    assert {run.scenario for run in made.runs()} == {str(tmp_path / "flaky.yaml")}
    assert [run.label for run in made.runs()] == ["ddp", "local"]


def test_several_are_an_axis_and_each_a_variant_of_the_report(read):
    made = read(STRATEGIES + "scenario: [none, flaky.yaml]\n")
    labels = ["ddp", "local", "ddp scenario=flaky", "local scenario=flaky"]
    assert [run.label for run in made.runs()] == labels
    assert [run.slug for run in made.runs()][2] == "wan.fully_connected.ddp-scenario=flaky.seed0"
    assert Experiment.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_a_grid_may_have_them_and_a_command_finds_their_name(read):
    made = read(COMMAND + "grid: {lr: [1, 2], scenario: [none, ./flaky.yaml]}\n")
    runs = list(made.runs())
    assert [run.label for run in runs] == ["lr=1", "lr=2", "lr=1 scenario=flaky", "lr=2 scenario=flaky"]
    words = [run.variant.command.filled(run.values(4, "."))[-1] for run in runs]
    assert words == ["echo none 1", "echo none 2", "echo flaky 1", "echo flaky 2"]


def test_one_that_ships_is_called_by_its_name(read):
    runs = list(read(STRATEGIES + "scenario: [none, flaky-wan]\n").runs())
    assert runs[2].label == "ddp scenario=flaky-wan"
    assert runs[2].scenario.endswith("/flaky-wan.yaml")


def test_a_grid_of_scenarios_alone_is_one(read):
    made = read('profiles: wan\ncommand: ["true"]\ngrid: {scenario: [none, flaky.yaml]}\n')
    assert [run.label for run in made.runs()] == ["true", "true scenario=flaky"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (COMMAND + "scenario: none\ngrid: {lr: 1, scenario: none}\n", "mine.yaml:3: scenario: grid has it too"),
        (STRATEGIES + "scenario: gone.yaml\n", "mine.yaml:3: scenario: "),
        (STRATEGIES + "scenario: flaky-wen\n", "mine.yaml:3: scenario: scenario 'flaky-wen' is unknown; did you mean"),
        (STRATEGIES + "scenario: []\n", "mine.yaml:3: scenario: an empty list"),
        (STRATEGIES + "scenario: [flaky.yaml, flaky.yaml]\n", "runs would be called"),
        (STRATEGIES + "scenario: mine.yaml\n", "mine.yaml:3: scenario: "),
    ],
)
def test_nonsense_is_refused_with_its_place(read, text, said):
    with pytest.raises(InputError) as error:
        read(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_scenario_that_does_not_fit_a_network_is_told_before_one_is_made(read):
    made = read(STRATEGIES + "topologies: [ring, star]\nscenario: [flaky.yaml, far.yaml]\nnodes: 4\n")
    with pytest.raises(InputError, match=r"far.yaml:2: events.*\(on ring of 4 nodes with wan\)"):
        check_scenarios(made.runs(), lambda run: plan_of(made, run))
    read(STRATEGIES + "scenario: flaky.yaml\n")
    check_scenarios(read(STRATEGIES + "scenario: flaky.yaml\n").runs(), lambda run: plan_of(made, run))


@pytest.mark.parametrize("event", ["kill: {node: [0, 1]}", "availability: {file: away.csv}"])
def test_an_elastic_run_outlives_the_end_of_any_rank_but_0(read, tmp_path, event):
    (tmp_path / "away.csv").write_text("time_s,event,node\n1,remove,0\n")
    (tmp_path / "harsh.yaml").write_text(f"events:\n  - {{at: 1s, {event}}}\n  - {{at: 2s, pause: {{node: 0}}}}\n")
    made = read(STRATEGIES + "scenario: harsh.yaml\nelastic: 5\n")
    assert made.schedule.elastic == 5
    check_scenarios(made.runs(), lambda run: plan_of(made, run))
    with pytest.raises(InputError, match=r"harsh.yaml:2: events\[0\].*kills rank 0"):
        check_scenarios(made.runs(), lambda run: plan_of(made, run), elastic=True)
    (tmp_path / "harsh.yaml").write_text("events: [{at: 1s, kill: {node: [1, 2]}}, {at: 2s, kill: {node: any}}]")
    check_scenarios(made.runs(), lambda run: plan_of(made, run), elastic=True)
