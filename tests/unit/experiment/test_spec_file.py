"""Reading an experiment's file: what is wrong is told with file, line and place."""

import importlib.util
from dataclasses import fields
from pathlib import Path

import pytest

from harness.errors import InputError, UnavailableError
from harness.experiment.runner import plan_of
from harness.experiment.spec import Experiment
from harness.experiment.spec_file import load_experiment
from harness.experiment.variants import StrategyVariant
from harness.model.plan_options import PlanOptions
from harness.training.options import Schedule
from harness.training.tasks.task_options import TaskOptions

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is missing")
MANY = str([0] * 101)
SMALL = "profiles: wan\nstrategies: ddp\n"


@pytest.fixture
def read(tmp_path):
    def load(text, check_options=False):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return load_experiment(path, check_options=check_options)

    return load


def refused(read, text, **options):
    with pytest.raises(InputError) as error:
        read(text, **options)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_two_words_are_an_experiment(read):
    assert read(SMALL) == Experiment("mine", ("wan",), ("fully_connected",), (StrategyVariant("ddp"),))


def test_the_default_topology_is_that_of_every_verb(read):
    assert read(SMALL).topologies == (PlanOptions().topology,)
    (run,) = read(SMALL).runs()
    assert plan_of(read(SMALL), run).topology == PlanOptions().plan().topology


def test_a_task_without_options_is_its_name(read):
    assert read(SMALL + "task: mnist\n").task == TaskOptions("mnist")


def test_the_network_has_a_seed_of_its_own_where_the_file_says_so(read):
    made = read(SMALL + "seeds: [0, 1]\nnetwork_seed: 7\n")
    plans = [plan_of(made, run) for run in made.runs()]
    assert plans[0].edges == plans[1].edges
    assert (plans[0].seed, made) == (7, Experiment.from_json(made.to_json()))
    alone = read(SMALL + "seeds: [0, 1]\n")
    plans = [plan_of(alone, run) for run in alone.runs()]
    assert plans[0].edges != plans[1].edges


def test_options_of_the_network_are_those_of_every_verb(read, tmp_path):
    (tmp_path / "sea.yaml").write_text("delay: 80ms\n")
    made = read(
        SMALL + "nodes: 4\ntopologies: [regions:2, islands:2]\nuplink: 20mbit\ndownlink: none\ntrunk: 1gbit\n"
        "between: ./sea.yaml\nmtu: 9000\necn: yes\n"
    )
    regions, islands = (plan_of(made, run) for run in made.runs())
    assert (
        regions
        == PlanOptions(
            4,
            "regions:2",
            "wan",
            str(tmp_path / "sea.yaml"),
            uplink="20mbit",
            downlink="none",
            trunk="1gbit",
            mtu=9000,
            ecn=True,
        ).plan()
    )
    assert [trunk.edges for trunk in islands.trunks] == [((0, 2),), ((2, 0),)]
    assert Experiment.from_json(made.to_json()) == made
    old = made.to_json()
    del old["network"]
    assert Experiment.from_json(old).network == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("uplink: 5\n", "mine.yaml:3: uplink: --uplink: '5' is not a rate"),
        (
            "topologies: [regions:2, ring]\ntrunk: 1gbit\n",
            "mine.yaml:4: trunk: a trunk joins two regions, and ring has none",
        ),
        ("mtu: 99\n", "mine.yaml:3: mtu: --mtu 99 is not between 1280"),
        ("mtu: big\n", "mtu: 'big' where a whole number is expected"),
        ("between: wan\n", "between: --between is for topologies with islands or regions"),
        ("uplink: [1mbit, 2mbit]\n", "uplink: a list where a value is expected"),
    ],
)
def test_options_of_the_network_that_make_no_sense(read, text, words):
    assert words in refused(read, SMALL + text)


def test_an_experiment_that_was_begun_before_network_seed_goes_on_with_one_seed_for_both(read):
    begun = read(SMALL).to_json()
    del begun["network_seed"]
    assert Experiment.from_json(begun) == read(SMALL)


def test_everything_that_can_be_said(read):
    made = read(
        "name: all\nnodes: 6\ntopologies: [ring, grid:2x3]\nprofiles: [local, wan]\n"
        "strategies: [ddp, {name: diloco, H: [10, 50]}]\nseeds: [0, 3]\n"
        'task: {name: text, shards: "dirichlet:0.3", batch: 16, optimizer: sgd, lr: 0.1, width: 64, layers: 2}\n'
        "steps: 50\nevaluate_every: 5\ncheckpoint_every: 0\ntarget: {loss: 0.4}\nstop_at_target: true\nlimit: 2min\n"
    )
    assert made == Experiment(
        "all",
        ("local", "wan"),
        ("ring", "grid:2x3"),
        (StrategyVariant("ddp"), StrategyVariant("diloco", {"H": "10"}), StrategyVariant("diloco", {"H": "50"})),
        (0, 3),
        6,
        TaskOptions("text", "dirichlet:0.3", 16, "sgd", 0.1, 64, 2),
        Schedule(50, 5, 0),
        ("loss", 0.4),
        True,
        120.0,
    )


def test_every_option_of_a_schedule_and_a_task_is_a_key_of_the_file(read):
    for one in fields(Schedule):
        assert getattr(read(f"profiles: wan\nstrategies: local\n{one.name}: 7\n").schedule, one.name) == 7
    with pytest.raises(InputError) as error:
        read("profiles: wan\nstrategies: local\ntask: {nothing: 1}\n")
    assert all(one.name in str(error.value) for one in fields(TaskOptions))


@pytest.mark.torch
@needs_torch
def test_options_are_of_their_type_and_shared_ones_go_to_who_has_them(read):
    made = read("profiles: wan\nstrategies: [ddp, fedavg, {name: fedavg, H: 7}]\nH: [3, 5]\n", check_options=True)
    found = [(one.strategy, one.options) for one in made.variants]
    assert found == [("ddp", {}), ("fedavg", {"H": 3}), ("fedavg", {"H": 5}), ("fedavg", {"H": 7})]


def test_files_are_looked_for_beside_it(read, tmp_path):
    (tmp_path / "home.yaml").write_text("rate: 10mbit\ndelay: 20ms\n")
    (tmp_path / "pair.yaml").write_text("nodes: 2\nedges:\n  - between: [0, 1]\n")
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "text.txt").write_text("x")
    made = read(
        "profiles: ./home.yaml\ntopologies: pair.yaml\nstrategies: [mine.py, ./mine.py:Mine]\n"
        "task: {name: text, data: text.txt}\n"
    )
    assert made.profiles == (f"{tmp_path}/home.yaml",)
    assert made.topologies == (f"{tmp_path}/pair.yaml",)
    assert [one.strategy for one in made.variants] == [f"{tmp_path}/mine.py", f"{tmp_path}/mine.py:Mine"]
    assert made.task.data == f"{tmp_path}/text.txt"
    assert [run.slug for run in made.runs()] == ["home.pair.mine.seed0", "home.pair.mine-Mine.seed0"]


def test_the_files_of_a_matrix_are_looked_for_beside_it_too(read, tmp_path):
    for name, cell in (("D", "5ms"), ("R", "10mbit")):
        (tmp_path / f"{name}.csv").write_text(f"-,{cell}\n{cell},-\n")
    made = read(
        'profiles: wan\nstrategies: ddp\ntopologies: ["Matrix: delay=D.csv, rate = R.csv", "matrix:delay=D.csv"]\n'
    )
    assert made.topologies == (
        f"matrix:delay={tmp_path}/D.csv,rate={tmp_path}/R.csv",
        f"matrix:delay={tmp_path}/D.csv",
    )
    (run, *_) = made.runs()
    assert plan_of(made, run).size == 2
    assert "R.csv: " in refused(
        read, 'profiles: wan\nstrategies: ddp\ntopologies: "matrix:delay=D.csv,rate=no/R.csv"\n'
    )
    for wrong in ("matrix:", "matrix:delay", "matrix:delay=", "matrix:a=D.csv"):
        assert f"topology '{wrong.partition('=')[0]}" in refused(read, SMALL + f"topologies: '{wrong}'\n")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5 min", 90), ("2h", 7200), ("0.5s", 0.5)])
def test_a_limit_has_a_unit(read, text, seconds):
    assert read(SMALL + f"limit: {text}\n").limit_seconds == seconds
    assert "where a time is expected" in refused(read, SMALL + "limit: 90\n")


def test_a_files_name_becomes_a_name_that_a_folder_may_have(tmp_path):
    path = tmp_path / "my experiment (2).yaml"
    path.write_text(SMALL)
    assert load_experiment(path, check_options=False).name == "my-experiment-2"
    assert load_experiment(path.rename(tmp_path / "опыт.yaml"), check_options=False).name == "опыт"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profiles: wan\n", "mine.yaml: strategies missing; an experiment needs profiles, and strategies or a command"),
        ("steps: 3\n", "mine.yaml: profiles and strategies missing"),
        ("profiles: wann\nstrategies: ddp\n", "mine.yaml:1: profiles: profile 'wann' is unknown; did you mean 'wan'?"),
        ("profiles:\n  - wan\n  - ./no.yaml\nstrategies: ddp\n", "mine.yaml:3: profiles[1]: "),
        (SMALL + "topologies: rnig\n", "mine.yaml:3: topologies: topology 'rnig' is unknown; did you mean 'ring'?"),
        (SMALL + "topologies: [ring, rnig]\n", "mine.yaml:3: topologies[1]: topology 'rnig' is unknown"),
        ("profiles: wan\nstrategies: dddp\n", "mine.yaml:2: strategies: strategy 'dddp' is unknown; did you"),
        ("profiles: wan\nstrategies: [./no.py]\n", "mine.yaml:2: strategies[0]: strategy "),
        ("profiles: wan\nstrategies:\n  - {H: 3}\n", "mine.yaml:3: strategies[0]: a strategy needs a name"),
        (SMALL + "task: digitz\n", "mine.yaml:3: task: task 'digitz' is unknown; did you mean 'digits'?"),
        (SMALL + "task: {name: digitz}\n", "mine.yaml:3: task: task 'digitz' is unknown; did you mean 'digits'?"),
        (SMALL + "task:\n  lr: fast\n", "mine.yaml:4: task.lr: 'fast' where a number is expected"),
        (SMALL + "task: {lr: -1}\n", "mine.yaml:3: task: task digits: lr must be a number over 0"),
        (SMALL + "task: {optimizer: adam}\n", "mine.yaml:3: task: optimizer 'adam' is unknown"),
        (SMALL + "task: {data: no.txt}\n", "mine.yaml:3: task.data: there is no "),
        (SMALL + "profiles: [wan]\n", "mine.yaml:3: key 'profiles' is given twice"),
        (SMALL + "step: 3\n", "mine.yaml:3: unknown key 'step'; did you mean 'steps'?"),
        (SMALL + "steps: 0\n", "mine.yaml:3: steps: 0 where a whole number from 1 is expected"),
        (SMALL + "nodes: 1\n", "mine.yaml:3: nodes: 1 where a whole number from 2 is expected"),
        (SMALL + "seeds: []\n", "mine.yaml:3: seeds: an empty list: there is nothing to run"),
        (SMALL + "seeds: [0, -1]\n", "mine.yaml:3: seeds[1]: '-1' where a seed, e.g. 0, is expected"),
        ("profiles: []\nstrategies: ddp\n", "mine.yaml:1: profiles: an empty list"),
        ("profiles: wan\nstrategies: []\n", "mine.yaml:2: strategies: an empty list"),
        ("profiles: wan\nstrategies: [{name: diloco, H: []}]\n", "mine.yaml:2: strategies[0].H: an empty list"),
        (SMALL + "seeds: [1, 1]\n", "mine.yaml: 2 runs would be called wan.fully_connected.ddp.seed1"),
        (SMALL + "target: low\n", "mine.yaml:3: target: 'low' where a mapping is expected"),
        (SMALL + "target: {loss: 0.4, accuracy: 0.9}\n", "mine.yaml:3: target: a target is one of loss and accuracy"),
        (SMALL + "target: {loss: low}\n", "mine.yaml:3: target.loss: 'low' where a number is expected"),
        (SMALL + "target: {loss: .inf}\n", "mine.yaml:3: target.loss: "),
        (SMALL + "target: {accuracy: 90}\n", "mine.yaml:3: target.accuracy: 90 where a share up to 1 is expected"),
        (SMALL + "stop_at_target: true\n", "mine.yaml: stop_at_target needs a target"),
        (SMALL + "stop_at_target: perhaps\n", "mine.yaml:3: stop_at_target: 'perhaps' where true or false is expected"),
        (SMALL + "limit: long\n", "mine.yaml:3: limit: 'long' where a time is expected, e.g. 90s, 2min or 1.5h"),
        (SMALL + "limit: 0s\n", "mine.yaml:3: limit: '0s' where a time is expected"),
        (SMALL + "name: a/b\n", "mine.yaml:3: name: 'a/b' cannot be a name"),
        (SMALL + "H: 3\n", "mine.yaml:3: H: without PyTorch, which strategies have this option is unknown"),
        ("profiles: wan\nstrategies: [{name: ddp, a: [1, 2], b: " + MANY + ", c: " + MANY + "}]\n",
         "mine.yaml:2: strategies[0]: 20402 combinations of options: an experiment has at most 10000 runs"),
        ("profiles: [wan\n", "this is not YAML"),
        ("", "mine.yaml is empty"),
        ("just words\n", "mine.yaml:1: 'just words' where a mapping is expected"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(read, text, message):
    assert message in refused(read, text)


@pytest.mark.torch
@needs_torch
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profiles: wan\nstrategies:\n  - ddp\n  - {name: fedavg, K: 3}\n",
         "mine.yaml:4: strategies[1]: strategy fedavg has no option 'K'; known: H"),
        ("profiles: wan\nstrategies: [{name: fedavg, H: often}]\n", "mine.yaml:2: strategies[0]: strategy fedavg: H="),
        (SMALL + "H: 3\n", "mine.yaml:3: H: none of the strategies has this option"),
        ("profiles: wan\nstrategies: [{name: ddp, H: 3}]\n", "mine.yaml:2: strategies[0]: strategy ddp has no option"),
        ("profiles: wan\nstrategies:\n  - broken.py\n", "mine.yaml:3: strategies[0]: strategy "),
        ("profiles: wan\nstrategies:\n  - empty.py\n", "mine.yaml:3: strategies[0]: strategy "),
    ],
)  # fmt: skip
def test_so_is_what_is_wrong_about_options_and_own_strategies(read, text, message, tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "empty.py").write_text("")
    assert message in refused(read, text, check_options=True)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_experiment(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is a directory"):
        load_experiment(tmp_path)


def test_the_example_is_one():
    path = Path(__file__).parents[3] / "examples" / "strategies.yaml"
    try:
        made = load_experiment(path)
    except UnavailableError:
        pytest.skip("PyTorch is missing")
    assert len(list(made.runs())) >= 6
    assert made.nodes == 4
