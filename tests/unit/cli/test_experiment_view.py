"""What is told of runs, and how long that takes to read."""

import pytest

from harness.cli.experiment_view import View, outcome
from harness.experiment.progress import RunProgress
from harness.experiment.spec import Run
from harness.experiment.variants import StrategyVariant

RUNS = [Run("wan", "ring", StrategyVariant("ddp"), 0), Run("local", "ring", StrategyVariant("ddp"), 0)]


@pytest.fixture
def progress(tmp_path):
    def make(step=0, loss=None, elapsed=0.0):
        made = RunProgress(tmp_path, 1, None, 0.0)
        made.step, made.loss, made.elapsed = step, loss, elapsed
        return made

    return make


def test_a_run_that_went_through(progress):
    assert outcome({"status": "finished"}, progress(200, 0.1234, 12.34), 200) == "step 200  12.3 s  loss 0.123"


def test_a_run_that_was_cut(progress):
    assert outcome({"status": "limit"}, progress(7, 2.0, 60.0), 200) == "step 7 of 200  1 min  loss 2.000  time limit"
    assert outcome({"status": "finished"}, progress(7, None, 1.0), 200) == "step 7 of 200  1 s  loss is not a number"
    assert outcome({"status": "limit"}, progress(), 200) == "limit"
    assert outcome({"status": "limit"}, None, 200) == "limit"


def test_a_run_that_failed(progress):
    ending = {"status": "failed", "failed_rank": 1, "code": 9, "last_lines": ["one", "KeyError: 'x'", "  "]}
    assert outcome(ending, progress(5, 2.0, 1.0), 200) == "failed: rank 1, exit code 9: KeyError: 'x'"
    assert outcome({**ending, "last_lines": []}, None, 200) == "failed: rank 1, exit code 9: no output"
    assert outcome({**ending, "failed_rank": None}, None, 200) == "failed: KeyError: 'x'"


def test_every_run_leaves_a_line_and_nothing_else_where_there_is_no_terminal(progress, capsys):
    lines = []
    with View(RUNS, 200, None, lines.append) as view:
        for run in RUNS:
            view.begin(run)
            view.watch(progress())
            view.watch(progress(3, 1.0, 2.0))
            view.end(run, {"status": "finished"}, progress(200, 0.5, 3.0))
    assert lines == [
        "wan.ring.ddp.seed0    step 200  3 s  loss 0.500",
        "local.ring.ddp.seed0  step 200  3 s  loss 0.500",
    ]
    assert capsys.readouterr() == ("", "")
