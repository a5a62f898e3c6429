"""Events that follow a job's steps."""

import os

import pytest

from harness import metrics
from harness.errors import InputError
from harness.scenario.scenario_file import load_scenario
from harness.scenario.step_file import StepFile
from harness.scenario.timing import Timing


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(metrics, "_steps", None)


def test_the_highest_step_of_all_ranks_counts(tmp_path, monkeypatch):
    path = tmp_path / "steps"
    steps = StepFile(path)
    assert steps.look() == 0
    path.touch()
    monkeypatch.setenv("HARNESS_STEP_FILE", str(path))
    for number in (1, 3, 2):
        metrics.step(number)
    assert steps.look() == 3
    with path.open("ab") as file:
        file.write(b"4\nnonsense\n5")
    assert steps.look() == 4
    with path.open("ab") as file:
        file.write(b"0\n")
    assert steps.look() == 50
    os.close(metrics._steps)


def test_a_step_does_nothing_without_a_scenario_and_reports_a_bad_file_once(monkeypatch, capsys):
    monkeypatch.delenv("HARNESS_STEP_FILE", raising=False)
    metrics.step(1)
    monkeypatch.setenv("HARNESS_STEP_FILE", "/nowhere/steps")
    metrics.step(1)
    metrics.step(2)
    assert capsys.readouterr().err.count("/nowhere/steps") == 1


@pytest.mark.parametrize(
    ("timing", "steps"),
    [
        (Timing(at_step=100), [(0, 100), (99, 100), (100, None), (500, None)]),
        (Timing(every_steps=50), [(0, 50), (49, 50), (50, 100), (120, 150)]),
        (Timing(at_step=10, every_steps=50), [(0, 10), (10, 60), (75, 110)]),
    ],
)
def test_the_next_step(timing, steps):
    assert [timing.next_step(done) for done, _ in steps] == [following for _, following in steps]


def test_at_and_every_may_count_steps(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("events:\n  - {at: step 100, down: {edge: 0-1}}\n  - {every: 50 steps, for: 1s, heal: all}\n")
    scenario = load_scenario(path)
    assert scenario.by_steps == [0, 1]
    assert list(scenario.agenda()) == []
    assert [(due.at, due.kind) for due in scenario.occurrence(1, 7.0)] == [(7, "edit"), (8, "undo")]
    for when, words in (("at: step x", "a number of steps"), ("at: step 1, every: 2s", "it counts steps and times")):
        path.write_text(f"events:\n  - {{{when}, heal: all}}\n")
        with pytest.raises(InputError, match=words):
            load_scenario(path)


def test_an_absurd_step_number_is_ignored(tmp_path):
    path = tmp_path / "steps"
    path.write_bytes(b"3\n" + b"9" * 5000 + b"\n")
    assert StepFile(path).look() == 3
