"""The trainer's options: declared once, and the same from a command line and from JSON."""

import argparse
import json
from dataclasses import fields
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.training.declared import add_arguments
from harness.training.options import Schedule, TrainOptions
from harness.training.tasks.task_options import TaskOptions
from harness.training.train import read_arguments

WORDS = [
    "--task",
    "text",
    "--shards",
    "dirichlet:0.3",
    "--batch",
    "8",
    "--optimizer",
    "sgd",
    "--lr",
    "0.1",
    "--width",
    "64",
    "--layers",
    "2",
    "--context",
    "32",
    "--data",
    "x",
    "--device",
    "auto",
    "--strategy",
    "diloco",
    "--option",
    "H=20",
    "--option",
    "outer_lr=0.5",
    "--steps",
    "30",
    "--evaluate-every",
    "3",
    "--checkpoint-every",
    "0",
    "--seed",
    "5",
    "--transport",
    "nccl",
    "--elastic",
    "0",
    "--timeout",
    "9",
    "--resume",
    "--out",
    "/out",
]
MADE = TrainOptions(
    TaskOptions("text", "dirichlet:0.3", 8, "sgd", 0.1, 64, 2, 32, "x", "auto"),
    "diloco",
    {"H": "20", "outer_lr": "0.5"},
    Schedule(30, 3, 0, 0),
    5,
    "nccl",
    9.0,
    True,
    Path("/out"),
    True,
)


def arguments():
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser, TrainOptions)
    return parser._actions


def test_a_command_line_says_all_of_it():
    assert read_arguments(WORDS, {})() == MADE
    flags = {flag for argument in arguments() for flag in argument.option_strings}
    assert flags == {word for word in WORDS if word.startswith("--")}


def test_without_arguments_all_have_their_defaults():
    assert read_arguments([], {})() == TrainOptions(describe=True)
    assert read_arguments([], {"HARNESS_RUN_DIR": "/runs/x"})() == TrainOptions(out=Path("/runs/x"), describe=True)


@pytest.mark.parametrize("options", [MADE, TrainOptions()])
def test_json_and_back(options):
    assert TrainOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"stepz": 3}', "unknown key 'stepz'; "),
        ('{"schedule": {"evaluate": 3}}', "unknown key 'evaluate'; "),
        ('{"task": {"name": "digit"}}', "task 'digit' is unknown; did you mean 'digits'?"),
        ("[", "--json: "),
        ("[1]", "--json: "),
    ],
)
def test_json_that_makes_no_sense_is_refused(text, message):
    with pytest.raises(InputError) as error:
        read_arguments(["--json", text], {})()
    assert message in str(error.value)


def test_elastic_is_seconds_and_gloos():
    assert read_arguments(["--elastic", "10"], {})().schedule == Schedule(elastic=10)
    with pytest.raises(InputError, match="--elastic needs --transport gloo"):
        read_arguments(["--elastic", "10", "--transport", "nccl"], {})()


def test_seeds_are_those_that_torch_takes():
    with pytest.raises(InputError, match=r"over 2\^63 - 1"):
        TrainOptions(seed=2**63)


def test_every_option_has_a_help_text():
    assert all(argument.help for argument in arguments())
    assert [one.name for one in fields(Schedule)] == ["steps", "evaluate_every", "checkpoint_every", "elastic"]
