"""Folders that travel: what goes along, and that they land whole."""

import json
import os

import pytest

from harness.errors import HarnessError, InputError
from harness.experiment.campaign import parcel
from harness.experiment.campaign.parcel import land, pack, pack_experiment, unpack
from harness.run_files import RunFolder


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "lab"
    (root / "data").mkdir(parents=True)
    (root / "lab.yaml").write_text("now\n")
    (root / "data" / "x.bin").write_bytes(b"\0\1")
    (root / "go.sh").write_text("#!/bin/sh\n")
    (root / "go.sh").chmod(0o755)
    return root


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text("as it was\n")
    return path


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_all_files_beside_the_experiment_go_along_and_it_is_what_it_was(root, copy, tmp_path):
    unpack(pack_experiment(root / "lab.yaml", copy), tmp_path / "there")
    assert names(tmp_path / "there") == ["data/x.bin", "go.sh", "lab.yaml"]
    assert (tmp_path / "there" / "lab.yaml").read_text() == "as it was\n"
    assert (tmp_path / "there" / "go.sh").stat().st_mode & 0o111


def test_records_environments_and_caches_stay_at_home(root, copy, tmp_path):
    for name in (
        "runs/one/run.json",
        "runs/many/experiment.json",
        "env/pyvenv.cfg",
        ".git/config",
        "__pycache__/a.pyc",
    ):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("{}")
    unpack(pack_experiment(root / "lab.yaml", copy), tmp_path / "there")
    assert names(tmp_path / "there") == ["data/x.bin", "go.sh", "lab.yaml"]


def test_links_are_followed_but_not_in_circles(root, copy, tmp_path):
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "y.bin").write_bytes(b"y")
    (root / "more").symlink_to(tmp_path / "large")
    (root / "data" / "up").symlink_to(root)
    unpack(pack_experiment(root / "lab.yaml", copy), tmp_path / "there")
    assert (tmp_path / "there" / "more" / "y.bin").read_bytes() == b"y"
    assert not (tmp_path / "there" / "data" / "up").exists()


def test_a_folder_that_is_too_large_is_refused(root, copy, monkeypatch):
    monkeypatch.setattr(parcel, "_MOST_BYTES", 11)
    with pytest.raises(InputError, match=r"lab, the experiment's folder, .* into a folder of its own"):
        pack_experiment(root / "lab.yaml", copy)


def test_a_folder_that_is_gone_is_named(tmp_path, copy):
    with pytest.raises(InputError, match=r"gone, the experiment's folder, .* is not there any more"):
        pack_experiment(tmp_path / "gone" / "lab.yaml", copy)


def test_a_run_lands_in_the_place_of_what_was_there(tmp_path):
    there, home = tmp_path / "there", RunFolder(tmp_path / "runs" / "r")
    there.mkdir()
    (there / "run.json").write_text("{}")
    home.path.mkdir(parents=True)
    (home.path / "old.jsonl").write_text("")
    (tmp_path / "runs" / ".r.part").mkdir()  # of a command that was killed
    (tmp_path / "runs" / ".r.part" / "half").write_text("")
    land(pack(there), home, lambda part: (part.path / "run.json").write_text('{"machine": "a"}'))
    assert [path.name for path in home.path.parent.iterdir()] == ["r"]
    assert names(home.path) == ["run.json"]
    assert home.facts == {"machine": "a"}


def test_what_a_job_leaves_beside_files_does_not_keep_its_run_from_home(tmp_path):
    there, home = tmp_path / "there", RunFolder(tmp_path / "r")
    (there / "ckpt").mkdir(parents=True)
    (there / "ckpt" / "1.pt").write_text("1")
    (there / "same.pt").hardlink_to(there / "ckpt" / "1.pt")
    (there / "latest").symlink_to("ckpt/1.pt")
    (there / "ckpt" / "up").symlink_to("../ckpt")
    (there / "ckpt" / "abroad").symlink_to("../../else")
    (there / "absolute").symlink_to(there / "ckpt")
    os.mkfifo(there / "pipe")
    land(pack(there), home, lambda part: None)
    assert sorted(str(path.relative_to(home.path)) for path in home.path.rglob("*")) == [
        *("ckpt", "ckpt/1.pt", "ckpt/up", "latest", "same.pt"),
    ]
    assert (home.path / "latest").read_text() == (home.path / "same.pt").read_text() == "1"


def test_what_does_not_arrive_whole_leaves_what_was_there(tmp_path):
    there, home = tmp_path / "there", RunFolder(tmp_path / "r")
    there.mkdir()
    (there / "end.json").write_text(json.dumps({"status": "finished", "notes": ["x"] * 1000}))
    home.path.mkdir()
    (home.path / "run.json").write_text("{}")
    with pytest.raises(HarnessError, match="r cannot be written"):
        land(pack(there)[:60], home, lambda part: None)
    assert names(tmp_path / "r") == ["run.json"]
    assert not (tmp_path / ".r.part").exists()
