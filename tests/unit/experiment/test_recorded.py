"""What there is in runs/: the newest first, with its state; and what ``latest`` means."""

import fcntl
import json

import pytest

from harness.errors import InputError
from harness.experiment.recorded import recorded, resolve


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "runs"
    (root / "empty").mkdir(parents=True)
    (root / "note.txt").write_text("")
    return root


def experiment(root, name, created, **statuses):
    """An experiment whose runs have these statuses; ``todo`` has left nothing, ``begun`` no end."""
    folder = root / name
    for slug, status in statuses.items():
        (folder / slug).mkdir(parents=True)
        if status != "todo":
            (folder / slug / "run.json").write_text("{}")
        if status not in ("todo", "begun"):
            (folder / slug / "end.json").write_text(json.dumps({"status": status}))
    (folder / "experiment.json").write_text(json.dumps({"created": created, "runs": list(statuses)}))
    return folder


def run(root, name, started, status="finished"):
    folder = root / name
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"started": started}))
    (folder / "end.json").write_text(json.dumps({"status": status}))
    return folder


def test_the_newest_is_first_and_folders_without_records_are_left_out(runs):
    experiment(runs, "old-1", 10.0, a="finished", b="limit")
    run(runs, "20261127-100000", 30.0)
    experiment(runs, "new-1", 20.0, a="finished", b="todo", c="failed")
    found = recorded()
    assert [(one.folder.name, one.kind, one.state) for one in found] == [
        ("20261127-100000", "run", "finished"),
        ("new-1", "experiment", "failed"),
        ("old-1", "experiment", "finished"),
    ]
    assert found[1].to_json()["runs"] == {"finished": 1, "to do": 1, "failed": 1}


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ({"a": "finished", "b": "begun"}, "unfinished"),
        ({"a": "todo"}, "to do"),
        ({"a": "stopped", "b": "todo"}, "stopped"),
        ({"a": "finished", "b": "limit"}, "finished"),
    ],
)
def test_a_state_is_that_of_its_worst_run(runs, statuses, state):
    experiment(runs, "x-1", 10.0, **statuses)
    assert recorded()[0].state == state


def test_an_experiment_that_a_command_works_on_is_running(runs):
    folder = experiment(runs, "x-1", 10.0, a="todo")
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert recorded()[0].state == "running"
    assert recorded()[0].state == "to do"


def test_latest_and_nothing_mean_the_newest(runs, tmp_path):
    experiment(runs, "old-1", 10.0, a="finished")
    newest = run(runs, "20261127-100000", 30.0)
    elsewhere = experiment(tmp_path / "other", "x-1", 1.0, a="finished")
    assert [resolve(one).name for one in (None, newest.parent / "latest")] == [newest.name] * 2
    assert resolve(tmp_path / "other" / "latest") == elsewhere
    (runs / "latest").mkdir()
    assert resolve(runs / "latest") == runs / "latest"


def test_where_there_is_nothing_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="there are no records in runs/; 'harness experiment run FILE' makes some"):
        resolve(None)
    assert recorded() == []
