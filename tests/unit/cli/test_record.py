"""The folder that ``harness run --record`` makes, and the message if it cannot."""

import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli import record as module
from harness.cli.record import place, recorded_job
from harness.errors import HarnessError, ProgramError
from harness.experiment import run_folder
from harness.networks.launch import LaunchOutcome
from harness.networks.placement import Placement
from harness.run_files import RunFolder
from tests.support.fakes import FakeNetwork

WHEN = time.struct_time((2026, 11, 27, 13, 0, 0, 4, 331, 0))
FINE, FAILED = LaunchOutcome(0, None, {0: 0, 1: 0}), LaunchOutcome(9, 1, {0: 143, 1: 9})


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands still while folders get their names."""
    fixed = SimpleNamespace(strftime=lambda form: time.strftime(form, WHEN))
    monkeypatch.setattr(run_folder, "time", fixed)


@pytest.fixture
def perform(monkeypatch, tmp_path):
    """Record a command whose launch ends with this outcome or error."""

    def runner(end, command=("python", "train.py"), network=None):
        def launch(_, plan, argv, sink, *, extra_env=None, tick=None, **options):
            sink(1, "stdout", b"hello")
            if tick:
                assert tick() is False
            if isinstance(end, BaseException):
                raise end
            return end

        monkeypatch.setattr(module, "launch", launch)
        shown = []
        with recorded_job(tmp_path / "runs", command, Placement()) as (_, job):
            try:
                return job(network or FakeNetwork(), lambda *line: shown.append(line), timeout=None)
            finally:
                assert shown == [(1, "stdout", b"hello")]

    return runner


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs" / "train-20261127-130000")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["python", "/x/my train.py", "--config", "y.py"], "my-train"),
        (["torchrun", "--nproc-per-node", "2", "train.py"], "train"),
        (["python", "-m", "torch.distributed.run", "train.py"], "train"),
        (["python", "-m", "mine.train", "--config", "y.py"], "train"),
        (["./run.sh"], "run"),
        (["/bin/sh", "-c", "true; false"], "sh"),
        (["--/.."], "run"),
        (["python", "x" * 300 + ".py"], "x" * 60),
        (["python", "../..py"], "run"),
    ],
)
def test_a_folder_is_called_after_its_script(command, name):
    assert place(Path("runs"), command) == Path("runs", f"{name}-20261127-130000")


def test_what_runs_and_how_it_ended(perform, folder, capsys):
    assert perform(FINE, ("python", "train.py", "--token", "abc")) == FINE
    facts, ending = folder.facts, folder.ending
    assert (facts["slug"], facts["label"], facts["parameters"]) == ("train-20261127-130000", "train", {})
    assert facts["command"] == ["python", "train.py", "--token", "***"]
    assert "environ" not in str(facts)
    assert not {"strategy", "task", "steps"} & facts.keys()
    assert (ending["status"], ending["code"], ending["codes"]) == ("finished", 0, {"0": 0, "1": 0})
    assert (folder.path / "rank-1.log").read_text() == "hello\n"
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith(f"recorded in {folder.path}; try: harness report {folder.path} --open")
    assert len(said) <= 10
    assert any(line.split() == ["exit", "codes", "0", "on", "all", "2", "ranks"] for line in said)


def test_a_rank_that_fails(perform, folder, capsys):
    perform(FAILED)
    assert (folder.ending["status"], folder.ending["failed_rank"]) == ("failed", 1)
    assert folder.ending["last_lines"] == ["hello"]
    assert "rank 0: 143, rank 1: 9" in capsys.readouterr().err


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_a_run_that_the_user_stops(perform, folder, end, code, capsys):
    with pytest.raises(type(end)):
        perform(end)
    assert (folder.ending["status"], folder.ending["code"]) == ("stopped", code)
    assert "stopped after" in capsys.readouterr().err


def test_a_program_that_cannot_be_started(perform, folder):
    with pytest.raises(ProgramError):
        perform(ProgramError(0, "nothing", "No such file", found=False))
    assert (folder.ending["status"], folder.ending["code"]) == ("failed", 127)
    assert "nothing" in folder.ending["last_lines"][0]


def test_a_network_that_cannot_be_sampled_is_said_once_and_the_job_goes_on(perform, folder, capsys):
    assert perform(FINE, network=FakeNetwork(refuses="node 1: it is gone")) == FINE
    assert capsys.readouterr().err.count("node 1: it is gone") == 1
    assert folder.ending["status"] == "finished"


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(perform, folder):
    for _ in range(3):
        perform(FINE)
    assert sorted(path.name for path in folder.path.parent.iterdir()) == [
        folder.path.name,
        f"{folder.path.name}-2",
        f"{folder.path.name}-3",
    ]


def test_where_no_folder_can_be_made_the_job_runs_all_the_same(perform, tmp_path, capsys):
    (tmp_path / "runs").write_text("a file")
    assert perform(FINE) == FINE
    (line,) = capsys.readouterr().err.splitlines()
    assert "this run is not recorded" in line
    assert line.endswith("Not a directory; record in another folder")


def test_without_a_network_no_folder_stays(tmp_path):
    with pytest.raises(HarnessError), recorded_job(tmp_path / "runs", ["x"], Placement()):
        raise HarnessError("no network here")
    assert os.listdir(tmp_path / "runs") == []


def test_a_folder_that_the_user_removes_meanwhile_is_no_error(perform, folder, monkeypatch, capsys):
    ended = module.Recording.end

    def end(recording, **fields):
        ended(recording, **fields)
        shutil.rmtree(folder.path)

    monkeypatch.setattr(module.Recording, "end", end)
    assert perform(FINE) == FINE
    assert capsys.readouterr().err == ""
