"""Records of ranks whose machines' clocks differ are read by one clock."""

import json
from dataclasses import replace

import pytest

from harness.experiment.report.load.experiment import load_experiment
from harness.model.machines import FILE, Machines, Path
from tests.support.runs import DDP, make_experiment, read_lines, write_lines

HOURS = 7200.0
MACHINES = Machines(["a", "b", "a", "b"], {("a", "b"): Path(HOURS, 0.0002, 0.0004, 0.0005, 20)})


@pytest.fixture
def run(tmp_path):
    """The folder of a run whose nodes sampled by themselves, as in containers."""
    made = make_experiment(tmp_path / "made", profiles=("wan",), strategies=(DDP,), steps=20, sampled=True)
    (folder,) = (path.parent for path in made.glob("*/run.json"))
    samples = read_lines(folder / "links.jsonl")
    (folder / "links.jsonl").unlink()
    for rank in range(4):
        own = [{**line, "edges": [edge for edge in line["edges"] if edge["src"] == rank]} for line in samples]
        write_lines(folder / f"links-{rank}.jsonl", own)
    return folder


def loaded(folder):
    (found,) = load_experiment(folder.parent).runs
    return replace(found, flows=())  # whose samples have no equality


def set_ahead(path):
    """As a machine would have recorded it whose clock is hours ahead."""
    lines = read_lines(path)
    write_lines(
        path, [line | {name: line[name] + HOURS for name in ("time", "start") if name in line} for line in lines]
    )


def test_a_clock_that_is_hours_ahead_changes_nothing_where_it_is_known(run):
    right = loaded(run)
    for rank in (1, 3):
        for kind in ("rank", "links", "collectives"):
            set_ahead(run / f"{kind}-{rank}.jsonl")
    assert len(loaded(run).links) > len(right.links), "moments that were one are two"
    (run / FILE).write_text(json.dumps(MACHINES.to_json()))
    corrected = loaded(run)
    assert [sample.time for sample in corrected.links] == pytest.approx([sample.time for sample in right.links])
    for now, before in zip(corrected.ranks, right.ranks, strict=True):
        assert [one.start for one in now.timed] == pytest.approx([one.start for one in before.timed])
        assert len(now.timed) > 5


@pytest.mark.parametrize("text", ["{", "{}", '{"ranks": [{"machine": "a"}], "paths": []}'])
def test_a_file_of_machines_that_makes_no_sense_corrects_nothing(run, text):
    right = loaded(run)
    (run / FILE).write_text(text)
    assert loaded(run) == right
