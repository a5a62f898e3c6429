"""What counts of a command's run, and how values are found in its output and files."""

import json
import math

import pytest

from harness.errors import InputError
from harness.experiment.measure import FileReader, Measure, MeasuredValue, OutputReader


def values(found):
    return [(one.rank, one.step, one.value) for one in found]


def test_values_are_counted_by_rank_where_nothing_says_their_step():
    reader = OutputReader("loss=([0-9.]+)")
    assert values(reader.find(0, b"epoch 1: loss=0.5")) == [(0, 1, 0.5)]
    assert values(reader.find(1, b"epoch 1: loss=0.6")) == [(1, 1, 0.6)]
    assert values(reader.find(0, b"loss=0.4 loss=0.3")) == [(0, 2, 0.4), (0, 3, 0.3)]
    assert values(reader.find(0, b"no such thing \xff")) == []


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (r"step (?P<step>\d+): loss (\S+)", "loss"),
        (r"loss (\S+) at (?P<step>\d+)", "loss"),
        (r"step (?P<step>\d+): (?P<accuracy>\S+)", "accuracy"),
    ],
)
def test_a_group_names_the_value_and_another_its_step(pattern, name):
    assert Measure.of_regex(pattern).name == name
    line = b"loss 0.25 at 7" if " at " in pattern else b"step 7: loss 0.25" if "loss" in pattern else b"step 7: 0.25"
    assert values(OutputReader(pattern).find(0, line)) == [(0, 7, 0.25)]


def test_what_is_no_number_is_no_value_and_what_is_not_finite_is_one():
    reader = OutputReader(r"loss (\S+)")
    assert values(reader.find(0, b"loss low")) == []
    (found,) = reader.find(0, b"loss nan")
    assert math.isnan(found.value)
    assert json.loads(json.dumps(found.line("loss", 3.0), allow_nan=False)) == {
        "kind": "log",
        "time": 3.0,
        "step": 1,
        "values": {"loss": None},
    }


def test_a_group_that_took_no_part_in_a_match_is_no_value():
    assert values(OutputReader(r"loss(=([0-9.]+))?").find(0, b"loss")) == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("loss=(", "is not a regular expression: missing )"),
        ("loss=[0-9.]+", "has no group for the value: put it in parentheses"),
        (r"step (?P<step>\d+)", "has no group for the value"),
        ("(?:x)", "has no group for the value"),
    ],
)
def test_a_regular_expression_that_finds_nothing_ever_is_refused(pattern, message):
    with pytest.raises(InputError) as error:
        Measure.of_regex(pattern)
    assert message in str(error.value)


def test_lines_of_a_file():
    reader = FileReader("loss")
    assert values(reader.find({"loss": 0.5})) == [(0, 1, 0.5)]
    assert values(reader.find({"loss": "0.4", "step": 20})) == [(0, 20, 0.4)]
    for nothing in ({"loss": None}, {"loss": True}, {"loss": [1]}, {"step": 3}):
        assert values(reader.find(nothing)) == []
    assert values(reader.find({"loss": 0.3, "step": -1})) == [(0, 3, 0.3)]
    assert values(reader.find({"loss": 0.3, "step": 1e400})) == [(0, 4, 0.3)]
    assert values(reader.find({"loss": 0.3, "step": math.nan})) == [(0, 5, 0.3)]


def test_what_was_looked_for_is_said_in_words():
    assert "harness.log(loss=...)" in Measure("log", "loss").sought
    assert "'loss=(.*)'" in Measure.of_regex("loss=(.*)").sought
    made = Measure("jsonl", "loss", path="{run_dir}/m.jsonl", key="loss").at({"run_dir": "/x"})
    assert made.sought == "a line of /x/m.jsonl with a number as 'loss'"
    assert made.to_json() == {"kind": "jsonl", "name": "loss", "jsonl": "/x/m.jsonl", "key": "loss"}


def test_a_line_has_its_value():
    assert MeasuredValue(0, 3, 0.5).line("loss", 9.0)["values"] == {"loss": 0.5}
