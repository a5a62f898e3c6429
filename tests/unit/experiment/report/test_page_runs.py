"""What the page says of single runs: why they took so long, collectives, edges and flows; runs of own commands."""

import json
import re
from html import unescape

import pytest

from harness.experiment.report.analysis import analyse
from harness.experiment.report.analysis.sentences import headline, sentence
from harness.experiment.report.load import load_experiment
from harness.experiment.report.page.chart_data import hits_table, times_table
from harness.experiment.report.page.panels import panel
from harness.experiment.report.page.rendering import render
from harness.experiment.report.page.run_columns import run_columns
from harness.experiment.report.page.sections import context
from harness.experiment.report.page.why import COMPUTING, causes, explained
from tests.support.runs import CREATED, DDP, DILOCO, make_experiment, read_lines, write_lines


def made(folder, **options):
    return analyse(load_experiment(make_experiment(folder, **{"nodes": 3, "steps": 40, "limit": None, **options})))


def plain(markup):
    """Its text, in one line with plain spaces."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", str(markup))).replace("\u00a0", " ").split())


def shown(analysis, place=0):
    return panel(analysis, place, explained(analysis)[place], None, {})


def own_commands(folder, logs=True):
    """Two runs of a script, which differ in a parameter; with a loss that they log, or with nothing but an end."""
    for lr, seconds in (("0.1", 12.5), ("0.01", 40.0)):
        run = folder / f"wan.ring.lr-{lr}.seed0"
        run.mkdir(parents=True)
        about = {"version": 1, "slug": run.name, "profile": "wan", "topology": "ring", "nodes": 2, "seed": 0}
        own = {"label": f"lr={lr}", "command": ["python", "train.py"], "parameters": {"lr": lr}, "started": CREATED}
        write_lines(run / "run.json", [about | own])
        write_lines(run / "end.json", [{"status": "finished", "seconds": seconds, "code": 0}])
        if logs:
            values = [{"loss": 2.0 / step, "tokens": 100.0 * step} for step in range(1, 6)]
            lines = [{"kind": "log", "time": CREATED + n, "step": n, "values": one} for n, one in enumerate(values, 1)]
            write_lines(run / "rank-0.jsonl", lines)
    slugs = ["wan.ring.lr-0.1.seed0", "wan.ring.lr-0.01.seed0"]
    write_lines(folder / "experiment.json", [{"version": 1, "id": "own-1", "name": "own", "runs": slugs}])
    return analyse(load_experiment(folder))


def test_every_run_has_its_sentence_its_bar_and_its_advice(tmp_path):
    analysis = made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP, DILOCO))
    text = render("why.html.j2", **context(analysis))
    for run, why in zip(analysis.runs, explained(analysis), strict=True):
        assert sum(part.share for part in why.parts) == pytest.approx(1, abs=0.01)
        assert sum(part.seconds for part in why.parts) == pytest.approx(run.steps * (run.compute + run.comm), rel=0.01)
        assert why.lost == pytest.approx(run.comm_share, abs=0.1)
        assert why.explanation.sentence in plain(text)
        assert f"Change first: {why.explanation.advice}." in plain(text)
    assert causes(explained(analysis))[0] == COMPUTING
    widths = [float(width) for width in re.findall(r'<i style="width:([\d.]+)%', text)]
    assert sum(widths) == pytest.approx(200, abs=1)
    assert 'aria-label="computing ' in text


def test_a_run_without_steps_has_a_sentence_and_no_bar(tmp_path):
    analysis = own_commands(tmp_path / "own-1", logs=False)
    (why, _) = explained(analysis)
    assert (why.parts, why.lost) == ((), None)
    text = render("why.html.j2", **context(analysis))
    assert why.explanation.sentence in plain(text)
    assert "<i style=" not in text


def test_a_run_shows_its_collectives_edges_and_flows_and_no_section_of_what_it_has_not(tmp_path):
    bare = plain(shown(made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP,))))
    assert "all_reduce 40 – – –" in bare
    assert "counted, not timed one by one" in bare
    assert "TCP connections" not in bare
    analysis = made(tmp_path / "y-1", profiles=("wan",), strategies=(DDP,), sampled=True)
    full = plain(shown(analysis))
    assert re.search(r"all_reduce 40 [\d.]+ ms [\d.]+ ms [\d.]+ m?s 4 MB", full)
    assert "not timed" not in full
    assert re.search(r"0→1 cubic [\d.]+ .?B [\d.]+ .?bit/s [\d.]+ ms", full)
    rate = analysis.runs[0].run.plan.edges[0, 1].shape.rate
    assert re.search(rf"0→1 [\d.]+ % [\d.]+ .?bit/s {round(rate.bit_s / 1e6)}", full)
    (tmp_path / "z-1").mkdir()
    nothing = plain(shown(own_commands(tmp_path / "z-1", logs=False)))
    for words in ("Collectives", "Each edge", "TCP connections"):
        assert words not in nothing


def test_runs_of_own_commands_have_their_parameters_and_what_they_logged_as_columns(tmp_path):
    analysis = own_commands(tmp_path / "own-1")
    columns = run_columns(analysis)
    assert [column.heading for column in columns] == ["lr", "wall time>", "least loss>", "last tokens>"]
    rows = [[column.cell(run)[1] for column in columns] for run in analysis.runs]
    assert rows == [["0.1", "12.5 s", "0.4", "500"], ["0.01", "40 s", "0.4", "500"]]
    text = plain(render("runs.html.j2", **context(analysis)))
    assert "wan, lr=0.1, seed 0 finished 0.1 12.5 s 0.4 500" in text
    assert "waiting" not in text


def test_what_a_script_logged_is_a_chart_by_rank_and_name(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.page.timelines import data_tables, timeline_parts

    folder = tmp_path / "own-1"
    own_commands(folder)
    path = folder / "wan.ring.lr-0.1.seed0" / "rank-1.jsonl"
    lines = [{"kind": "log", "time": CREATED + 9, "step": 9, "values": {"tokens": value}} for value in (7, None)]
    write_lines(path, lines)
    analysis = analyse(load_experiment(folder))
    tables = data_tables(analysis)
    rows = tables["logged:tokens-0"].records()
    assert [row["value"] for row in rows] == [100, 200, 300, 400, 500, 7]
    assert rows[-1] == {"seconds": 9, "rank": "rank 1", "value": 7}
    charts = timeline_parts(["loss", "tokens"])["Logged"]
    assert [(chart.id, chart.title) for chart in charts] == [("logged-loss", "loss"), ("logged-tokens", "tokens")]
    assert "Logged" not in timeline_parts()


def test_own_commands_without_a_log_have_no_chart_of_losses(tmp_path):
    pytest.importorskip("altair", reason="the extra 'report' is not installed")
    from harness.experiment.report.page.page import make_page

    page = make_page(own_commands(tmp_path / "own-1", logs=False), "")
    assert 'id="loss"' not in page
    assert 'href="#loss"' not in page
    assert 'id="communication"' not in page
    logged = make_page(own_commands(tmp_path / "own-2"), "")
    assert 'href="#loss"' in logged
    assert "logged loss" in logged


def test_commands_that_log_nothing_are_compared_by_their_wall_time(tmp_path):
    analysis = own_commands(tmp_path / "own-1", logs=False)
    assert headline(analysis) == "lr=0.1 was the fastest on wan."
    (scenario,) = analysis.scenarios
    assert sentence(analysis, scenario) == (
        "On wan, lr=0.1 reached the end in 12.5 s (one seed: spread unknown), 3.2 times as fast as lr=0.01."
    )
    assert [row["median"] for row in times_table(scenario).records()] == [12.5, 40]
    assert hits_table(scenario).rows == ()
    text = plain(render("winners.html.j2", **context(analysis)))
    assert "wan the end lr=0.1 12.5 s 1 of 1 lr=0.01 3.2 ×" in text
    assert "where command seeds time to target winner's lead wan lr=0.1 1 12.5 s fastest" in text
    assert "lr=0.01 1 40 s 3.2 ×" in text
    assert "ddp" not in text


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ({"status": "failed", "seconds": 1.0, "code": 1, "failed_rank": 0}, "lr=0.01 was the fastest on wan."),
        ({"status": "limit", "seconds": 20.0, "code": 0}, "lr=0.01 was the fastest on wan."),
    ],
)
def test_a_command_that_did_not_finish_reached_no_end(tmp_path, ending, words):
    folder = tmp_path / "own-1"
    own_commands(folder, logs=False)
    write_lines(folder / "wan.ring.lr-0.1.seed0" / "end.json", [ending])
    analysis = analyse(load_experiment(folder))
    assert headline(analysis) == words
    assert len([row for row in times_table(analysis.scenarios[0]).records() if row["median"] is None]) == 1
    for slug in ("wan.ring.lr-0.1.seed0", "wan.ring.lr-0.01.seed0"):
        (folder / slug / "end.json").unlink()
    assert headline(analyse(load_experiment(folder))) == "No command has finished yet."


def test_a_command_that_missed_its_target_is_called_a_command(tmp_path):
    folder = tmp_path / "own-1"
    own_commands(folder)
    for path in folder.glob("*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "target": {"loss": 0.1}}))
    analysis = analyse(load_experiment(folder))
    assert headline(analysis) == "No command has reached its target."
    assert sentence(analysis, analysis.scenarios[0]) == "On wan no command reached loss 0.1."


def test_the_wall_time_counts_where_the_file_says_so_though_a_loss_was_logged(tmp_path):
    folder = tmp_path / "own-1"
    (scenario,) = own_commands(folder).scenarios
    assert (str(scenario.target), scenario.chosen) == ("loss 0.4", True)
    for path in folder.glob("*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "measure": {"kind": "wall_time"}}))
    (scenario,) = analyse(load_experiment(folder)).scenarios
    assert (str(scenario.target), scenario.chosen) == ("the end", False)
    assert scenario.win.winner.seconds.median == 12.5


def test_the_table_of_runs_switches_curves_off(tmp_path):
    text = render("runs.html.j2", **context(made(tmp_path / "x-1", profiles=("wan",), strategies=(DDP, DILOCO))))
    boxes = re.findall(
        r'<input type="checkbox" class="drawn" checked data-label="(.*?)" data-seed="(\d)" aria-label', text
    )
    assert boxes == [("ddp", "0"), ("diloco H=20", "0")]
    assert re.findall(r'data-show="(\d)"', text) == ["0", "1"]


def test_a_run_that_lost_its_collectives_says_how_many(tmp_path):
    folder = tmp_path / "x-1"
    made(folder, profiles=("wan",), strategies=(DDP,), sampled=True)
    path = folder / "wan.ring.ddp.seed0" / "collectives-1.jsonl"
    write_lines(path, [*read_lines(path), {"missed": 12, "time": CREATED}])
    assert "12 collectives could not be timed." in plain(shown(analyse(load_experiment(folder))))


def test_labels_of_own_commands_are_escaped(tmp_path):
    folder = tmp_path / "own-1"
    own_commands(folder)
    path = folder / "wan.ring.lr-0.1.seed0" / "run.json"
    about = {**json.loads(path.read_text()), "label": "<b>x", "parameters": {"<i>": "<u>"}}
    path.write_text(json.dumps(about))
    text = render("runs.html.j2", **context(analyse(load_experiment(folder))))
    assert not re.search("<b>x|<u>", text)
    assert "&lt;i</button>" in text
