"""`harness trace`: the file that it writes, and its errors."""

import gzip
import importlib.util
import json

import pytest

from harness.cli import trace
from harness.errors import HarnessError, InputError, UnavailableError
from tests.support.cli import typer_runner
from tests.support.runs import DDP, DILOCO, make_experiment
from tests.support.traces import read_trace

SLUG = "wan.ring.ddp.seed0"


@pytest.fixture
def folder(tmp_path):
    options = {"profiles": ("wan",), "strategies": (DDP, DILOCO), "nodes": 2, "steps": 10, "limit": None}
    return make_experiment(tmp_path / "runs" / "x-1", **options)


@pytest.fixture
def run():
    return typer_runner(trace)


def steps(path):
    return sum(one[2].startswith("step ") for one in read_trace(path).slices)


def test_the_file_is_in_the_run_s_folder(folder, run):
    path = folder / SLUG / "trace.json.gz"
    assert run(folder / SLUG).stdout.startswith(f"{path}: ")
    assert steps(path) == 20


@pytest.mark.parametrize("name", ["t.json", "t.json.gz", "T.JSON"])
def test_an_existing_file_is_overwritten(folder, run, tmp_path, name):
    (tmp_path / name).write_text("old")
    summary = json.loads(run(folder / SLUG, "-o", tmp_path / name, "--json").stdout)
    data = (tmp_path / name).read_bytes()
    json.loads(gzip.decompress(data) if name.endswith("gz") else data)
    assert (summary["run"], summary["steps"], summary["collectives"], summary["bytes"]) == (SLUG, 20, 0, len(data))


def test_standard_output_has_the_json_alone(folder, run):
    assert json.loads(run(folder / SLUG, "-o", "-").stdout)["otherData"]["run"] == SLUG


def test_the_newest_is_meant_where_no_run_is_named(folder, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"x-1 has 2 runs, and a trace is of one: give runs/x-1/RUN; runs: {SLUG}, "):
        run()
    assert json.loads(run(f"latest/{SLUG}", "--json").stdout)["run"] == SLUG
    (folder / "wan.ring.diloco-H20.seed0" / "run.json").unlink()
    assert json.loads(run("--json").stdout)["run"] == SLUG
    assert json.loads(run("latest", "--json").stdout)["run"] == SLUG


def test_a_run_that_is_not_there_is_one_clear_line(folder, run, tmp_path):
    for name, message in (
        (folder / "wan.ring.ddp.sed0", f"x-1 has no run 'wan.ring.ddp.sed0'; did you mean '{SLUG}'?"),
        (tmp_path / "nowhere", "nowhere: no such folder; 'harness experiment list' shows what there is"),
        (folder / SLUG / "..", "x-1/wan.ring.ddp.seed0/.. has 2 runs"),
    ):
        with pytest.raises(InputError) as found:
            run(name)
        assert message in str(found.value)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="contains no run"):
        run(empty)
    (empty / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"its run\.json cannot be read"):
        run(empty)


def test_a_wrong_file_is_refused_before_anything_is_read(run, tmp_path):
    with pytest.raises(InputError, match=r"-o x\.txt: give a name that ends in \.json, \.json\.gz, \.pftrace"):
        run(tmp_path / "nowhere", "-o", "x.txt")
    with pytest.raises(InputError, match="both write to standard output"):
        run(tmp_path / "nowhere", "-o", "-", "--json")


def test_a_file_that_cannot_be_written_is_one_clear_line(folder, run, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        run(folder / SLUG, "-o", tmp_path / "a" / "b.json")
    (tmp_path / "c.json").mkdir()
    with pytest.raises(HarnessError, match=r"c\.json"):
        run(folder / SLUG, "-o", tmp_path / "c.json")


def test_without_perfetto_s_package_json_is_offered(folder, run, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "perfetto" else find(name))
    with pytest.raises(UnavailableError, match=r"\.pftrace needs the package perfetto.*\.json needs nothing"):
        run(folder / SLUG, "-o", tmp_path / "t.pftrace")


def test_perfetto_s_own_format(folder, run, tmp_path):
    pytest.importorskip("perfetto", reason="the extra 'perfetto' is not installed")
    run(folder / SLUG, "-o", tmp_path / "t.pftrace")
    assert steps(tmp_path / "t.pftrace") == 20


def test_remarks_on_the_files_are_noted(folder, run):
    (folder / SLUG / "links.jsonl").unlink()
    assert "1 remark on the files; the first: x-1" not in run(folder / SLUG).stdout
    assert f"1 remark on the files; the first: {SLUG}/links.jsonl: missing" in run(folder / SLUG).stderr
