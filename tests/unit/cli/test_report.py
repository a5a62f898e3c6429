"""`harness report`: the files that it writes, and its errors."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest

from harness.cli import report
from harness.errors import InputError, UnavailableError
from tests.support.cli import typer_runner
from tests.support.runs import DDP, DILOCO, make_experiment, write_lines


@pytest.fixture
def folder(tmp_path):
    options = {"profiles": ("wan",), "strategies": (DDP, DILOCO), "nodes": 2, "steps": 100, "limit": None}
    return make_experiment(tmp_path / "x-1", **options)


@pytest.fixture
def run():
    return typer_runner(report)


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
    assert document["runs"][0]["diverged_at_step"] == 0


def test_the_newest_is_taken_where_no_folder_is_named(folder, run, monkeypatch):
    (folder.parent / "runs").mkdir()
    folder.rename(folder.parent / "runs" / folder.name)
    monkeypatch.chdir(folder.parent)
    assert json.loads(run("--json").stdout)["id"] == folder.name
    assert json.loads(run("latest", "--json").stdout)["id"] == folder.name


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
    assert {row["attempt"] for row in rows(tmp_path / "a" / "b-links.csv")} == {"1"}
    document = json.loads((tmp_path / "a" / "b.json").read_text())
    assert float(summary[0]["seconds"]) == document["runs"][0]["seconds"]


def test_flows_collectives_and_what_was_logged_are_tables_where_there_are_any(folder, run, tmp_path):
    sampled = make_experiment(tmp_path / "y-1", profiles=("wan",), strategies=(DDP,), nodes=2, steps=40, sampled=True)
    slug = sampled / "wan.ring.ddp.seed0"
    about = json.loads((slug / "run.json").read_text())
    write_lines(slug / "run.json", [about | {"parameters": {"lr": "0.1"}}])
    logs = [{"kind": "log", "time": about["started"] + 3, "step": 7, "values": {"tokens": 5.0}}]
    path = slug / "rank-1.jsonl"
    write_lines(path, [*(json.loads(line) for line in path.read_text().splitlines()), *logs])
    run(sampled, "--format", "csv,json", "--out", tmp_path / "s.csv")
    flows, collectives = rows(tmp_path / "s-flows.csv"), rows(tmp_path / "s-collectives.csv")
    assert {(row["src"], row["dst"], row["congestion_control"]) for row in flows} == {
        ("0", "1", "cubic"),
        ("1", "0", "cubic"),
    }
    assert float(flows[0]["elapsed"]) == pytest.approx(0, abs=0.01)
    assert 0.01 < float(flows[0]["rtt"]) < 1
    assert float(flows[0]["delivery_rate"]) == 1e7
    assert len(collectives) == 2 * 40
    assert {row["op"] for row in collectives} == {"all_reduce"}
    (logged,) = rows(tmp_path / "s-logged.csv")
    assert [logged[key] for key in ("rank", "step", "elapsed", "name", "value")] == ["1", "7", "3.0", "tokens", "5.0"]
    assert rows(tmp_path / "s-summary.csv")[0]["parameter_lr"] == "0.1"
    (found,) = json.loads((tmp_path / "s.json").read_text())["runs"]
    assert (found["parameters"], found["logged_last"]) == ({"lr": "0.1"}, {"tokens": 5.0})
    assert [(one["op"], one["count"]) for one in found["collectives"]] == [("all_reduce", 40)]
    assert found["collectives"][0]["median"] == pytest.approx(found["step_seconds_comm"], rel=0.3)
    assert {(flow["src"], flow["dst"]) for flow in found["flows"]} == {(0, 1), (1, 0)}
    assert [edge["edge"] for edge in found["edges"]] == [[0, 1], [1, 0]]


def test_link_samples_of_a_resumed_run_have_their_attempt_and_no_pause(folder, run, tmp_path):
    """Also for an attempt without a step, whose samples have no time of training."""
    path = folder / "wan.ring.ddp.seed0"
    samples = [json.loads(line) for line in (path / "links.jsonl").read_text().splitlines()][:3]
    later = [
        {**one, "attempt": attempt, "time": one["time"] + pause}
        for attempt, pause in ((2, 500.0), (3, 1000.0))
        for one in samples
    ]
    write_lines(path / "links.jsonl", [*samples, *later])
    for rank in (0, 1):
        lines = [json.loads(line) for line in (path / f"rank-{rank}.jsonl").read_text().splitlines()]
        moved = [{**one, "time": one.get("time", 0.0) + 1000 * (one.get("step", 0) > 50)} for one in lines]
        write_lines(path / f"rank-{rank}.jsonl", moved)
    run(folder, "--format", "csv", "--out", tmp_path / "a.csv")
    found = [row for row in rows(tmp_path / "a-links.csv") if row["run"] == path.name and row["src"] == "0"]
    assert [row["attempt"] for row in found] == [*"111222333"]
    times = [float(row["elapsed"]) if row["elapsed"] else None for row in found]
    first = [pytest.approx(at) for at in (-2.0, -1.0, 0.0)]
    assert times == [*first, None, None, None, *first]


def test_the_page_stands_in_the_experiments_folder_and_is_opened(folder, run, monkeypatch):
    pytest.importorskip("vl_convert", reason="the extra 'report' is not installed")
    asked = []
    monkeypatch.setattr(report.webbrowser, "open", lambda address: bool(asked.append(address)))
    outcome = run(folder, "--open")
    page = folder / "report" / "report.html"
    assert str(page) in outcome.stdout.replace("\n", "")
    assert asked == [page.as_uri()]
    assert "no browser was found" in outcome.stderr
    assert 900_000 < page.stat().st_size < 3_000_000
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]


def test_without_altair_csv_and_json_still_work(folder, run, monkeypatch):
    for name in ("altair", "vl_convert"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnavailableError, match=r"html needs altair and vl_convert.*'make setup'"):
        run(folder)
    run(folder, "--format", "csv,json")
    assert json.loads(run(folder, "--json").stdout)["facets"]


def test_parquet_has_what_csv_has_with_types(folder, run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet' is not installed")
    run(folder, "--format", "csv,parquet", "--out", tmp_path / "a.csv")
    for name in ("summary", "steps", "evals", "links"):
        table = parquet.read_table(tmp_path / f"a-{name}.parquet")
        found = [{key: "" if value is None else str(value) for key, value in row.items()} for row in table.to_pylist()]
        assert found == rows(tmp_path / f"a-{name}.csv")
        assert found, name
    steps = parquet.read_table(tmp_path / "a-steps.parquet").schema
    assert [str(steps.field(name).type) for name in ("run", "step", "seconds")] == ["string", "int64", "double"]


def test_without_pyarrow_parquet_names_the_extra(folder, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnavailableError, match=r"parquet needs pyarrow, .*pip install '.\[parquet\]'.*csv,json"):
        run(folder, "--format", "csv,parquet")
    assert not (folder / "report").exists()


@pytest.mark.parametrize("name", ["time-to-loss", "time-to-target-wan", "links-rate-wan.ring.ddp.seed0", "topology"])
def test_one_figure_for_a_paper_has_the_width_and_the_font_that_were_asked_for(folder, run, tmp_path, name):
    pytest.importorskip("vl_convert", reason="the extra 'report' is not installed")
    words = ["--figure", name, "--font", "8", "--width", "84mm", "--out", tmp_path / "f", "--format", "pdf,svg,png"]
    run(folder, *words)
    pdf, png, svg = (path.read_bytes() for path in sorted(tmp_path.glob("f-*")))
    points = 84 / 25.4 * 72
    assert sorted(path.suffix for path in tmp_path.glob("f-*")) == [".pdf", ".png", ".svg"]
    box = [float(one) for one in re.search(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", pdf).groups()]
    assert box[0] == pytest.approx(points, abs=1)
    assert int.from_bytes(png[16:20]) == pytest.approx(84 / 25.4 * 300, abs=4)
    head, width, across = re.search(rb'<svg [^>]*?width="([\d.]+)pt"[^>]*?viewBox="0 0 ([\d.]+)', svg).group(0, 1, 2)
    assert float(width) == pytest.approx(points, abs=1)
    sizes = {float(size) for size in re.findall(rb'font-size="([\d.]+)(?:px)?"', svg)}
    real = {size * float(width) / float(across) for size in sizes}
    assert max(real) <= 8.7, head
    if name != "topology":
        assert {round(size, 1) for size in real} == {8.0}


def test_a_figure_is_a_pdf_where_nothing_else_is_said(folder, run):
    pytest.importorskip("vl_convert", reason="the extra 'report' is not installed")
    run(folder, "--figure", "communication")
    assert [path.name for path in (folder / "report").iterdir()] == ["report-communication-wan.pdf"]


def test_a_name_loses_its_ending_only_where_that_is_a_format(folder, run, tmp_path):
    run(folder, "--format", "json", "--out", tmp_path / "results-v1.5")
    run(folder, "--format", "csv", "--out", tmp_path / "x.CSV")
    names = [path.name for path in tmp_path.iterdir()]
    assert "results-v1.5.json" in names
    assert "x-summary.csv" in names


def test_an_accuracy_that_was_asked_for(tmp_path, run):
    options = {"profiles": ("wan",), "strategies": (DDP,), "nodes": 2, "steps": 80, "limit": None}
    folder = make_experiment(tmp_path / "x-1", target={"accuracy": 0.9}, **options)
    (facet,) = json.loads(run(folder, "--json").stdout)["facets"]
    assert (facet["target_loss"], facet["target_accuracy"]) == (None, 0.9)
    assert facet["answer"].startswith("On wan, ddp reached accuracy 90 % in ")
    assert "wan to accuracy 90 %" in run(folder, "--format", "csv", "--out", tmp_path / "a.csv").stdout
    (row,) = rows(tmp_path / "a-summary.csv")
    assert (row["target_loss"], row["target_accuracy"], row["outcome"]) == ("", "0.9", "reached")


def test_what_happened_meanwhile_is_told(folder, run):
    end = {"status": "finished", "notes": ["the engine's process was started again"]}
    write_lines(folder / "wan.ring.ddp.seed0" / "end.json", [end])
    told = " ".join(run(folder, "--format", "json").stderr.split())
    assert "wan.ring.ddp.seed0: the engine's process was started again; this may have affected its results" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "pgn"], "did you mean 'png'"),
        (["--format", ","], "--format is empty"),
        (["--out", "x.bmp"], "ends in .html, .png, .svg, .pdf, .csv, .json, .parquet"),
        (["--figure", "tim"], "'tim' is unknown; there are loss-time, loss-bytes, time-to-target, "),
        (["--figure", "loss-time-mars"], "nothing was recorded for 'loss-time-mars'"),
        (["--figure", "topology", "--format", "png,csv"], "--figure is an image, not csv: give --format png, svg, pdf"),
        (["--figure", "topology", "--width", "8"], "'8': give 60 to 3000 points, or as mm, cm or in"),
        (["--figure", "topology", "--width", "wide"], "'wide': give 60 to 3000 points"),
        (["--font", "9"], "--font and --width need --figure NAME"),
        (["--json", "--open"], "--open shows the page"),
        (["--format", "csv", "--open"], "--open shows the page"),
    ],
)
def test_bad_input(folder, run, words, message):
    if "--figure" in words:
        pytest.importorskip("vl_convert", reason="the extra 'report' is not installed")
    with pytest.raises(InputError, match=message):
        run(folder, *words)


@pytest.mark.parametrize(
    ("formats", "out", "wanted"),
    [
        (None, None, ("html",)),
        (None, Path("x.JSON"), ("json",)),
        (None, Path("x.parquet"), ("parquet",)),
        ("png, csv,png", Path("x.html"), ("png", "csv")),
    ],
)
def test_what_is_written(formats, out, wanted):
    assert report.wanted_formats(formats, out) == wanted
