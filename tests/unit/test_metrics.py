"""``harness.log`` adds measurements to the record of a run, and never ends the script."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import harness
from harness import metrics
from harness.experiment.report.load.jsonl import Oddities
from harness.experiment.report.load.rank import load_rank


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setattr(metrics, "_files", {})
    monkeypatch.setattr(metrics, "_failed", False)
    return tmp_path


def logged(folder, rank=3):
    return [json.loads(line) for line in (folder / f"rank-{rank}.jsonl").read_text().splitlines()]


def test_a_line_per_call(folder):
    harness.log(step=7, loss=0.5, examples=64)
    harness.log(accuracy=0.25)
    first, second = logged(folder)
    assert first["kind"] == second["kind"] == "log"
    assert first["time"] <= second["time"]
    assert (first["step"], first["values"]) == (7, {"loss": 0.5, "examples": 64})
    assert (second["step"], second["values"]) == (None, {"accuracy": 0.25})


def test_the_report_reads_it(folder):
    harness.log(step=0, loss=0.5)
    harness.log(step=1, loss=float("nan"))
    rank = load_rank(folder, 3, Oddities(folder))
    assert [(one.step, str(one.values["loss"])) for one in rank.logs] == [(0, "0.5"), (1, "nan")]


@pytest.mark.parametrize("missing", ["HARNESS_RUN_DIR", "RANK"])
def test_without_a_record_it_does_not_even_read_a_tensor(folder, monkeypatch, missing):
    class Tensor:
        def item(self):
            raise AssertionError("waits for the GPU")

    monkeypatch.delenv(missing)
    harness.log(step=1, loss=Tensor())
    assert list(folder.iterdir()) == []


def test_a_rank_that_is_no_number_names_no_file(folder, monkeypatch):
    monkeypatch.setenv("RANK", "../1")
    harness.log(loss=1.0)
    assert list(folder.iterdir()) == []


def test_numbers_of_numpy_and_pytorch(folder):
    numpy = pytest.importorskip("numpy")
    torch = pytest.importorskip("torch")
    harness.log(
        step=torch.tensor(4), loss=torch.tensor([0.25], requires_grad=True), lr=numpy.float32(0.5), n=numpy.int64(3)
    )
    (line,) = logged(folder)
    assert (line["step"], line["values"]) == (4, {"loss": 0.25, "lr": 0.5, "n": 3})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_become_null(folder, value):
    harness.log(step=1, loss=value)
    assert logged(folder)[0]["values"] == {"loss": None}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"loss": "0.5"}, "loss is '0.5', not a number"),
        ({"loss": None}, "loss is None, not a number"),
        ({"loss": [0.5]}, r"loss is \[0.5\], not a number"),
        ({"loss": 1j}, r"loss is 1j, not a number"),
        ({"step": 1.5}, "step is 1.5, not a whole number of 0 or more"),
        ({"step": -1}, "step is -1, not a whole number"),
        ({"step": "1"}, "step is '1', not a whole number"),
    ],
)
def test_values_that_are_not_numbers_are_refused(folder, given, says):
    with pytest.raises(TypeError, match=f"^harness.log: {says}"):
        harness.log(**given)
    assert list(folder.iterdir()) == []


def test_tensors_of_several_numbers_are_refused(folder):
    numpy = pytest.importorskip("numpy")
    torch = pytest.importorskip("torch")
    for value in (numpy.zeros((2, 3)), torch.zeros(2, 3)):
        with pytest.raises(
            TypeError, match=r"harness.log: loss has the shape \(2, 3\): log one number, e.g. its mean\(\)"
        ):
            harness.log(loss=value)


def test_a_line_that_was_cut_off_is_ended_first(folder):
    (folder / "rank-3.jsonl").write_text('{"kind": "lo')
    harness.log(step=1, loss=0.5)
    cut, line = (folder / "rank-3.jsonl").read_text().splitlines()
    assert cut == '{"kind": "lo'
    assert json.loads(line)["values"] == {"loss": 0.5}


def test_threads_write_whole_lines(folder):
    def work():
        for step in range(200):
            harness.log(step=step, loss=0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(logged(folder)) == 800


def test_a_full_disk_is_reported_once_and_the_script_continues(folder, capsys, monkeypatch):
    full = os.open("/dev/full", os.O_RDWR)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda *_, **__: os.dup(full))
        for step in range(3):
            harness.log(step=step, loss=0.5)
    os.close(full)
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device: harness.log drops what it cannot write; the script continues" in line


def test_a_missing_folder_is_reported_once(folder, monkeypatch, capsys):
    monkeypatch.setenv("HARNESS_RUN_DIR", str(folder / "gone"))
    harness.log(loss=1.0)
    harness.log(loss=1.0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"harness: {folder}/gone/rank-3.jsonl cannot be written: No such file or directory")


def test_importing_it_imports_nothing_slow():
    code = "import harness, os, sys; old = set(sys.modules); import harness.metrics; print(*set(sys.modules) - old)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["harness.metrics"]


def test_scripts_need_no_torch_and_no_pydantic(folder):
    heavy = "{'torch', 'pydantic', 'numpy'} & set(sys.modules)"
    code = f"import sys, harness; harness.log(step=1, loss=0.5); assert not {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(harness.__file__).parents[1])
    assert len(logged(folder)) == 1
