"""What an experiment is: its runs, what they are called, and what cannot be."""

import json
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.experiment.spec import MAX_RUNS, Experiment, Run
from harness.experiment.variants import StrategyVariant
from harness.training.tasks.task_options import TaskOptions

DDP, DILOCO = StrategyVariant("ddp"), StrategyVariant("diloco", {"H": 20})


def experiment(**given):
    return Experiment(**{"name": "e", "profiles": ("wan",), "topologies": ("ring",), "variants": (DDP,), **given})


def test_every_combination_with_all_strategies_of_a_network_side_by_side():
    made = experiment(profiles=("local", "wan"), variants=(DDP, DILOCO), seeds=(0, 7))
    assert [run.slug for run in made.runs()] == [
        "local.ring.ddp.seed0",
        "local.ring.diloco-H=20.seed0",
        "local.ring.ddp.seed7",
        "local.ring.diloco-H=20.seed7",
        "wan.ring.ddp.seed0",
        "wan.ring.diloco-H=20.seed0",
        "wan.ring.ddp.seed7",
        "wan.ring.diloco-H=20.seed7",
    ]


@pytest.mark.parametrize(
    ("run", "slug"),
    [
        (Run("/home/me/home.yaml", "grid:2x3", DDP, 0), "home.grid-2x3.ddp.seed0"),
        (Run("wan", "ring", StrategyVariant("sparta", {"p": 0.005}), 1), "wan.ring.sparta-p=0-005.seed1"),
        (Run("/x/дом.yaml", "ring", StrategyVariant("/x/ĉeno.py"), 0), "дом.ring.ĉeno.seed0"),
        (Run("/x/家.yaml", "/x/😀.yaml", DDP, 0), "家.f0443a34.ddp.seed0"),
        (Run("wan", "matrix:delay=/x/D.csv,rate=/y/R.csv", DDP, 0), "wan.matrix-delay=D-rate=R.ddp.seed0"),
        (
            Run("wan", "ring", StrategyVariant("/x/y/mine.py:Mine", {"a": "../../etc"}), 0),
            "wan.ring.mine-Mine-a=-etc.seed0",
        ),
    ],
)
def test_a_run_is_called_after_what_it_is_and_its_name_is_one_folders(run, slug):
    assert run.slug == slug
    assert Path(slug).name == slug


@pytest.mark.parametrize(
    ("variant", "label", "file"),
    [
        (DDP, "ddp", None),
        (StrategyVariant("diloco", {"H": 20, "lr": 0.7}), "diloco H=20 lr=0.7", None),
        (StrategyVariant("/x/mine.py"), "mine", Path("/x/mine.py")),
        (StrategyVariant("/x/mine.py:Mine"), "mine:Mine", Path("/x/mine.py")),
        (StrategyVariant("my.package:Mine"), "my.package:Mine", None),
    ],
)
def test_what_charts_call_a_strategy_and_where_it_is(variant, label, file):
    assert (variant.label, variant.file) == (label, file)


def test_json_and_back():
    made = experiment(
        variants=(DDP, DILOCO),
        nodes=6,
        task=TaskOptions("text", width=64),
        target=("loss", 0.5),
        stop_at_target=True,
        limit_seconds=90.0,
    )
    assert Experiment.from_json(json.loads(json.dumps(made.to_json()))) == made
    plain = experiment()
    assert Experiment.from_json(json.loads(json.dumps(plain.to_json()))) == plain


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"profiles": ()}, "the experiment is empty: it has no profiles"),
        ({"variants": ()}, "the experiment is empty: it has no strategies"),
        ({"seeds": (0, 1, 0)}, "2 runs would be called wan.ring.ddp.seed0"),
        ({"profiles": ("/a/x.yaml", "/b/x.yaml")}, "2 runs would be called x.ring.ddp.seed0"),
        ({"nodes": 1}, "nodes: 1: training together takes at least 2"),
        ({"stop_at_target": True}, "stop_at_target needs a target"),
        ({"target": ("accuracy", 0.9), "task": TaskOptions("text")}, "task text has no accuracy"),
        ({"name": "../evil"}, "'../evil' cannot be a name"),
        ({"name": ""}, "'' cannot be a name"),
        ({"name": "_e"}, "'_e' cannot be a name"),
        ({"name": "家" * 60}, "cannot be a name"),
        ({"variants": (StrategyVariant("ddp", {"x": "y" * 300}),)}, "too long for a file's name"),
        ({"variants": (StrategyVariant("ddp", {"x": "家" * 80}),)}, "too long for a file's name"),
        ({"seeds": tuple(range(MAX_RUNS + 1))}, f"the experiment has {MAX_RUNS + 1} runs; at most {MAX_RUNS}"),
    ],
)
def test_what_cannot_be(given, message):
    with pytest.raises(InputError) as error:
        experiment(**given)
    assert message in str(error.value)
