"""run.json and end.json of a run outside an experiment."""

import json
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.experiment.report.load import load_experiment
from harness.training.options import Schedule, TrainOptions
from harness.training.run_description import described


def read(folder, name):
    return json.loads((folder / name).read_text())


def options(folder: Path, **more) -> TrainOptions:
    return TrainOptions(strategy="diloco", options={"H": 20}, schedule=Schedule(30), out=folder, describe=True, **more)


def test_the_report_reads_what_rank_0_writes(tmp_path):
    with described(options(tmp_path), 0, 4):
        assert not (tmp_path / "end.json").exists()
    (run,) = load_experiment(tmp_path).runs
    assert (run.slug, run.nodes, run.label, run.end.status) == (tmp_path.name, 4, "diloco H=20", "finished")
    assert (read(tmp_path, "run.json")["steps"], read(tmp_path, "run.json")["attempt"]) == (30, 1)


def test_a_second_attempt_has_the_next_number_and_no_end_yet(tmp_path):
    with described(options(tmp_path), 0, 4):
        pass
    with described(options(tmp_path, resume=True), 0, 4):
        assert not (tmp_path / "end.json").exists()
    assert read(tmp_path, "run.json")["attempt"] == 2


@pytest.mark.parametrize(
    ("error", "status", "code", "lines"),
    [
        (HarnessError("rank 0: step 3: connection closed"), "failed", 70, ["rank 0: step 3: connection closed"]),
        (KeyboardInterrupt(), "stopped", 130, []),
    ],
)
def test_a_failure_and_an_interrupt_are_recorded(tmp_path, error, status, code, lines):
    with pytest.raises(type(error)), described(options(tmp_path), 0, 4):
        raise error
    end = read(tmp_path, "end.json")
    assert (end["status"], end["code"], end["last_lines"], end["failed_rank"]) == (status, code, lines, None)


def test_what_was_known_of_the_network_stays(tmp_path):
    (tmp_path / "run.json").write_text('{"profile": "wan", "engine": "netem"}')
    with described(options(tmp_path), 0, 4):
        pass
    facts = read(tmp_path, "run.json")
    assert (facts["profile"], facts["engine"], facts["strategy"], facts["attempt"]) == ("wan", "netem", "diloco", 1)


@pytest.mark.parametrize("given", [{"rank": 1}, {"describe": False}, {"out": None}])
def test_nobody_else_writes_them(tmp_path, given):
    made = TrainOptions(out=given.get("out", tmp_path), describe=given.get("describe", True))
    with described(made, given.get("rank", 0), 2):
        pass
    assert list(tmp_path.iterdir()) == []
