"""What counts of a command is found while it runs, and recorded where the report looks for it."""

import json

import pytest

from harness.experiment.measure import Measure
from harness.experiment.measuring import Measuring
from harness.experiment.recording import Recording
from harness.run_files import RunFolder
from tests.support.fakes import FakeNetwork


@pytest.fixture
def recording(tmp_path):
    with Recording(FakeNetwork(), RunFolder(tmp_path), {"attempt": 1, "started": 0.0}, print) as made:
        yield made


def logged(folder, rank=0):
    path = folder / f"rank-{rank}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(line["kind"], line["step"], line["values"]) for line in lines]


def test_output_is_kept_and_what_counts_of_it_recorded_by_rank(recording, tmp_path):
    made = Measuring(Measure.of_regex("loss=([0-9.]+)"), recording, None)
    made.sink(1, "stdout", b"loss=0.5")
    made.sink(1, "stderr", b"a warning")
    made.sink(1, "stderr", b"loss=0.4")
    assert (tmp_path / "rank-1.log").read_text() == "loss=0.5\na warning\nloss=0.4\n"
    assert logged(tmp_path, 1) == [("log", 1, {"loss": 0.5}), ("log", 2, {"loss": 0.4})]
    assert logged(tmp_path, 0) == []


def test_lines_of_a_file_as_they_come(recording, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"loss": 9}\n')  # of a run before
    made = Measuring(Measure("jsonl", "loss", path=str(path), key="loss"), recording, path)
    made.read()
    with path.open("a") as file:
        file.write('{"step": 7, "loss": 0.5}\nwarning\n{"lo')
        file.flush()
        made.read()
        file.write('ss": 0.4}\n')
    made.read()
    assert logged(tmp_path) == [("log", 7, {"loss": 0.5}), ("log", 2, {"loss": 0.4})]


def test_a_value_that_never_came_is_noted_with_what_was_looked_for(recording):
    (note,) = Measuring(Measure.of_regex("loss=(.+)"), recording, None).missing
    assert note.startswith("no loss was found; looked for a match of 'loss=(.+)'")
    assert Measuring(Measure(), recording, None).missing == []


def test_in_containers_other_users_can_add_to_the_same_files(tmp_path):
    with Recording(FakeNetwork("docker"), RunFolder(tmp_path), {"attempt": 1, "started": 0.0}, print) as recording:
        Measuring(Measure.of_regex("(.)"), recording, None)
    assert [(tmp_path / f"rank-{rank}.jsonl").stat().st_mode & 0o777 for rank in (0, 1)] == [0o666] * 2
