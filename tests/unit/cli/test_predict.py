"""`harness predict`: its tables, its JSON, and what it refuses."""

import json

import pytest
import typer
from typer.testing import CliRunner

from harness.cli import predict

JOB = ("--parameters", "1M", "--step-time", "26ms", "-p", "none", "--uplink", "100mbit")


@pytest.fixture
def run():
    app = typer.Typer()
    predict.register(app)
    return lambda *words: CliRunner().invoke(app, [*words])


def test_a_job(run):
    shown = run(*JOB, "--strategy", "diloco", "-o", "H=8", "--price", "0.09USD/GB").output
    assert "compute utilisation" in shown
    assert "all_reduce of 4 MB, every 8 steps" in shown
    assert "0.27 USD per 1,000 steps" in shown


def test_json_has_numbers_in_si_units(run):
    found = json.loads(run(*JOB, "--json").stdout)
    assert found["seconds_per_step"] == pytest.approx(found["seconds_compute"] + found["seconds_waiting"])
    assert found["parameters"] == 10**6
    assert set(found["rates_bit_s"]) == {"0.5", "0.8", "0.9", "0.95", "0.99"}
    assert found["measured"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--parameters", "many"], "write a number of them, e.g. 124M"),
        (["--parameters", "0"], "write a number of them"),
        (["--step-time", "0ms"], "write a time over 0"),
        (["--step-time", "fast"], "--step-time"),
        (["--strategy", "dilco"], "did you mean 'diloco'"),
        (["-o", "H"], "write NAME=VALUE"),
        (["--price", "0.09"], "a currency is missing"),
        (["-n", "1"], "a job on one node sends nothing"),
        (["--parameters", "1B", "--measure"], "scale the model and the rates down"),
    ],
)
def test_what_makes_no_sense_is_refused(run, words, message):
    done = run(*JOB, *words)
    assert message in str(done.exception)
