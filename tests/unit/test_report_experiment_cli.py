"""`harness report`: what it writes where, and what it says when it cannot."""

import csv
import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness.cli import report
from harness.errors import InputError, UnavailableError
from tests.support.runs import DDP, DILOCO, make_experiment, write_lines


@pytest.fixture
def folder(tmp_path):
    options = {"profiles": ("wan",), "strategies": (DDP, DILOCO), "nodes": 2, "steps": 100, "limit": None}
    return make_experiment(tmp_path / "x-1", **options)


@pytest.fixture
def run():
    app = typer.Typer()
    report.register(app)

    def runner(*words):
        outcome = CliRunner().invoke(app, [str(word) for word in words])
        if outcome.exception and not isinstance(outcome.exception, SystemExit):
            raise outcome.exception
        return outcome

    return runner


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_json_on_standard_output_writes_nothing(folder, run):
    before = sorted(folder.rglob("*"))
    document = json.loads(run(folder, "--json").stdout)
    assert sorted(folder.rglob("*")) == before
    assert document.keys() >= {"version", "id", "answer", "facets", "runs", "not_begun", "notes"}
    (facet,) = document["facets"]
    assert (facet["profile"], facet["target_loss"], facet["winner"]) == ("wan", 0.4, "diloco H=20")
    assert facet["baseline"]["label"] == "ddp"
    assert {run["status"] for run in document["runs"]} == {"finished"}


def test_json_holds_no_numbers_that_json_has_not(folder, run):
    path = folder / "wan.ring.ddp.seed0" / "rank-0.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    write_lines(path, [{**line, "loss": float("nan")} if "loss" in line else line for line in lines])

    def refuse(word):
        raise AssertionError(word)

    document = json.loads(run(folder, "--json").stdout, parse_constant=refuse)
    assert document["runs"][0]["least_loss"] is None
    assert document["runs"][0]["diverged_at_step"] == 5


def test_csv_files(folder, run, tmp_path):
    outcome = run(folder, "--format", "csv,json", "--out", tmp_path / "a" / "b.html")
    assert "4 csv files in" in outcome.stdout
    assert "diloco H=20 was the fastest on wan." in outcome.stdout
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["b-evals.csv", "b-links.csv", "b-steps.csv", "b-summary.csv", "b.json"]
    summary = rows(tmp_path / "a" / "b-summary.csv")
    assert [row["strategy"] for row in summary] == ["ddp", "diloco H=20"]
    assert len(rows(tmp_path / "a" / "b-steps.csv")) == 2 * 2 * 100
    assert {row["rank"] for row in rows(tmp_path / "a" / "b-evals.csv")} == {"0", "1"}
    assert {(row["src"], row["dst"]) for row in rows(tmp_path / "a" / "b-links.csv")} == {("0", "1"), ("1", "0")}
    document = json.loads((tmp_path / "a" / "b.json").read_text())
    assert float(summary[0]["seconds"]) == document["runs"][0]["seconds"]


def test_the_page_stands_in_the_experiments_folder_and_is_opened(folder, run, monkeypatch):
    pytest.importorskip("vl_convert", reason="the extra 'report' is not installed")
    asked = []
    monkeypatch.setattr(report.webbrowser, "open", lambda address: bool(asked.append(address)))
    outcome = run(folder, "--open")
    page = folder / "report" / "report.html"
    assert str(page) in outcome.stdout.replace("\n", "")
    assert asked == [page.as_uri()]
    assert "no browser opened here" in outcome.stderr
    assert 900_000 < page.stat().st_size < 3_000_000
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]


def test_without_altair_csv_and_json_still_work(folder, run, monkeypatch):
    for name in ("altair", "vl_convert"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnavailableError, match=r"html need altair and vl_convert.*pip install 'tc-harness\[report\]'"):
        run(folder)
    run(folder, "--format", "csv,json")
    assert json.loads(run(folder, "--json").stdout)["facets"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "pgn"], "did you mean 'png'"),
        (["--format", ","], "names nothing"),
        (["--out", "x.pdf"], "ends in .html"),
        (["--json", "--open"], "--open shows the page"),
        (["--format", "csv", "--open"], "--open shows the page"),
    ],
)
def test_bad_input(folder, run, words, message):
    with pytest.raises(InputError, match=message):
        run(folder, *words)


@pytest.mark.parametrize(
    ("formats", "out", "wanted"),
    [
        (None, None, ("html",)),
        (None, Path("x.JSON"), ("json",)),
        ("png, csv,png", Path("x.html"), ("png", "csv")),
    ],
)
def test_what_is_written(formats, out, wanted):
    assert report.wanted_formats(formats, out) == wanted
