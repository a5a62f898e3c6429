"""What is shown of runs while they go on and when they end."""

import json

import pytest

from harness.cli import experiment_view
from harness.cli.experiment_view import View, outcome
from harness.experiment.progress import RunProgress
from harness.experiment.spec import Run
from harness.experiment.variants import StrategyVariant

RUNS = [Run("wan", "ring", StrategyVariant("ddp"), 0), Run("local", "ring", StrategyVariant("ddp"), 0)]


@pytest.fixture
def progress(tmp_path):
    def make(step=0, loss=None, elapsed=0.0):
        made = RunProgress(tmp_path, 1, None, 0.0)
        made.step, made.value, made.elapsed = step, loss, elapsed
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
            view.watch(run, progress())
            view.watch(run, progress(3, 1.0, 2.0))
            view.end(run, {"status": "finished"}, progress(200, 0.5, 3.0))
    assert lines == [
        "wan.ring.ddp.seed0    step 200  3 s  loss 0.500",
        "local.ring.ddp.seed0  step 200  3 s  loss 0.500",
    ]
    assert capsys.readouterr() == ("", "")


def test_where_there_is_no_terminal_a_long_run_notes_how_far_it_is(progress, capsys, monkeypatch):
    monkeypatch.setattr(experiment_view, "_NOTE_SECONDS", 0.0)
    with View(RUNS[:1], 200, None, print) as view:
        view.begin(RUNS[0])
        view.watch(RUNS[0], progress())
        view.watch(RUNS[0], progress(3, 1.0, 2.0))
    with View(RUNS[:1], None, None, print) as view:
        view.begin(RUNS[0])
        view.watch(RUNS[0], progress(3, 1.0, 2.0))
    assert capsys.readouterr().err.splitlines() == [
        "harness: wan.ring.ddp.seed0  connecting",
        "harness: wan.ring.ddp.seed0  step 3 of 200  loss 1.000  2 s",
        "harness: wan.ring.ddp.seed0  step 3  loss 1.000  2 s",
    ]


@pytest.fixture
def own(tmp_path):
    def make(*values):
        made = RunProgress(tmp_path, 1, ("accuracy", 0.9), 0.0, "accuracy")
        lines = [
            {"kind": "log", "time": 1.0, "step": n * 10, "values": {"accuracy": v}} for n, v in enumerate(values, 1)
        ]
        (tmp_path / "rank-0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        made.update()
        return made

    return make


def test_a_command_that_went_through(own):
    ending = {"status": "finished", "seconds": 12.34, "notes": []}
    assert outcome(ending, own(0.5, 0.8), None) == "12.3 s  accuracy 0.800 at step 20"
    assert outcome(ending, own(0.5, 0.9), None) == "12.3 s  accuracy 0.900 at step 20  target at step 20"
    assert outcome({**ending, "status": "limit"}, own(0.5), None) == "12.3 s  accuracy 0.500 at step 10  time limit"


def test_a_value_that_never_came_is_said(own):
    ending = {"status": "finished", "seconds": 12.34, "notes": ["x", "no accuracy was found; looked for y"]}
    assert outcome(ending, own(), None) == "12.3 s  no accuracy was found; looked for y"
    assert outcome({**ending, "notes": []}, own(), None) == "12.3 s"


def test_several_at_a_time(own):
    lines = []
    with View(RUNS, None, None, lines.append, jobs=2) as view:
        for run in RUNS:
            view.begin(run)
        for run in reversed(RUNS):
            view.watch(run, own())
            view.end(run, {"status": "finished", "seconds": 1.0}, own(0.5))
    assert [line.split()[0] for line in lines] == ["local.ring.ddp.seed0", "wan.ring.ddp.seed0"]
