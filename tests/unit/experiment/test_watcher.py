"""What is done beside a run's programs: progress is read, limits end it, and how the run has ended."""

import json

import pytest

from harness.experiment import recording, watcher
from harness.experiment.measure import Measure
from harness.experiment.measuring import Measuring
from harness.experiment.recording import Recording
from harness.experiment.spec import Experiment
from harness.experiment.variants import CommandVariant, OwnCommand, StrategyVariant
from harness.experiment.watcher import Watcher
from harness.networks.launch import LaunchOutcome
from harness.run_files import RunFolder
from tests.support.fakes import FakeNetwork

FINE, CUT = LaunchOutcome(0, None, {0: 0, 1: 0}), LaunchOutcome(0, None, {0: 143, 1: 143}, cut=True)


@pytest.fixture
def net():
    return FakeNetwork()


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told."""

    class Clock:
        now = 1000.0

        def time(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(watcher, "time", made)
    monkeypatch.setattr(recording, "time", made)
    return made


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


@pytest.fixture
def watching(net, folder, clock):
    def make(**given):
        experiment = Experiment("e", ("wan",), ("ring",), (StrategyVariant("ddp"),), **given)
        told = []
        recording = Recording(net, folder, {"attempt": 2, "started": clock.now}, told.append)
        made = Watcher(experiment, recording, lambda progress: None)
        made.told = told
        return made

    return make


def write(folder, rank, *lines):
    with (folder.path / f"rank-{rank}.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def begin(folder, at, elapsed=0.0, ranks=(0, 1)):
    for rank in ranks:
        write(folder, rank, {"kind": "start", "time": at, "resumed_from": None, "elapsed": elapsed})


def reach(folder, loss):
    for rank in (0, 1):
        write(folder, rank, {"kind": "eval", "step": 5, "loss": loss, "accuracy": None})


def test_the_limit_counts_from_the_start_of_training(watching, folder, clock):
    made = watching(limit_seconds=60.0)
    clock.now += 200
    assert not made.tick()
    begin(folder, clock.now)
    clock.now += 59
    assert not made.tick()
    clock.now += 2
    assert made.tick()
    made.finish()
    assert made.ending(CUT)["status"] == "limit"


def test_what_an_earlier_attempt_trained_counts_for_the_limit(watching, folder, clock):
    made = watching(limit_seconds=60.0)
    begin(folder, clock.now, elapsed=50.0)
    clock.now += 9
    assert not made.tick()
    clock.now += 2
    assert made.tick()


def test_a_run_that_ends_by_itself_within_the_limit_has_finished_however_late_that_is_seen(watching, folder, clock):
    made = watching(limit_seconds=60.0)
    begin(folder, clock.now)
    assert not made.tick()
    clock.now += 61
    made.finish()
    assert made.ending(FINE) == {
        "status": "finished",
        "code": 0,
        "codes": {"0": 0, "1": 0},
        "failed_rank": None,
        "last_lines": [],
        "reached_at_step": None,
    }


@pytest.mark.parametrize(("loss", "ends"), [(0.5, False), (0.3, True)])
def test_the_target_ends_a_run_where_it_is_to_and_counts_as_finished(watching, folder, clock, loss, ends):
    made = watching(target=("loss", 0.4), stop_at_target=True, limit_seconds=60.0)
    begin(folder, clock.now)
    reach(folder, loss)
    clock.now += 30
    assert made.tick() == ends
    clock.now += 31
    assert made.tick(), "the limit"
    assert made.ending(CUT)["status"] == ("finished" if ends else "limit")


def test_a_target_that_is_only_to_be_told_ends_nothing(watching, folder, clock):
    made = watching(target=("loss", 0.4))
    begin(folder, clock.now)
    reach(folder, 0.1)
    assert not made.tick()
    assert made.ending(FINE)["reached_at_step"] == 5


def test_a_run_that_the_user_stops_says_what_it_had_reached(watching, folder):
    made = watching(target=("loss", 0.4))
    begin(folder, 1000.0)
    reach(folder, 0.1)
    assert not made.tick()
    ending = made.stopped(130)
    assert (ending["status"], ending["code"], ending["reached_at_step"]) == ("stopped", 130, 5)


def test_ranks_that_never_begin_end_the_run_as_failed(watching, clock):
    made = watching()
    clock.now += 319
    assert not made.tick()
    clock.now += 2
    assert made.tick()
    ending = made.ending(CUT)
    assert (ending["status"], ending["failed_rank"], ending["code"]) == ("failed", None, 70)
    assert ending["last_lines"] == ["no rank started training within 320 s; do the links let packets through?"]


def test_a_rank_that_failed_is_told_whatever_else(watching, clock):
    made = watching()
    clock.now += 321
    assert made.tick()
    ending = made.ending(LaunchOutcome(9, 1, {0: 143, 1: 9}))
    assert (ending["status"], ending["failed_rank"], ending["code"], ending["last_lines"]) == ("failed", 1, 9, [])


COMMAND = CommandVariant(OwnCommand(("python", "train.py")))


@pytest.fixture
def own(net, folder, clock):
    """A run of an own command whose regular expression finds its loss."""

    def make(**given):
        measure = Measure.of_regex("loss=(.+)")
        experiment = Experiment("e", ("wan",), ("ring",), (COMMAND,), measure=measure, **given)
        recording = Recording(net, folder, {"attempt": 1, "started": clock.now}, lambda text: None)
        measuring = Measuring(measure, recording, None)
        return Watcher(experiment, recording, lambda progress: None, measuring), measuring, recording

    return make


def test_a_commands_limit_counts_from_its_start_and_nothing_waits_for_training(own, clock):
    made, _, _ = own()
    clock.now += 10_000
    assert not made.tick()
    made, _, _ = own(limit_seconds=60.0)
    clock.now += 59
    assert not made.tick()
    clock.now += 2
    assert made.tick()
    assert made.ending(CUT)["status"] == "limit"


def test_what_a_command_prints_reaches_the_target(own):
    made, measuring, recording = own(target=("loss", 0.4), stop_at_target=True)
    measuring.sink(1, "stdout", b"loss=0.5")
    assert not made.tick()
    measuring.sink(1, "stdout", b"loss=0.3")
    assert made.tick()
    ending = made.ending(CUT)
    assert (ending["status"], ending["reached_at_step"], recording.notes) == ("finished", 2, [])


def test_a_value_that_never_came_is_noted_where_no_rank_failed(own):
    made, measuring, recording = own()
    measuring.sink(1, "stdout", b"Loss: 0.5")
    made.finish()
    assert made.ending(LaunchOutcome(9, 1, {0: 143, 1: 9}))["status"] == "failed"
    assert recording.notes == []
    assert made.ending(FINE)["status"] == "finished"
    (note,) = recording.notes
    assert note.startswith("no loss was found; looked for a match of 'loss=(.+)'")
