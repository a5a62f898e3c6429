"""Ranks that were away: read, counted, and what it cost."""

import json

import pytest

from harness.experiment.report.analysis import analyse
from harness.experiment.report.analysis.curves import step_costs
from harness.experiment.report.analysis.figures import run_figures
from harness.experiment.report.json_export import document
from harness.experiment.report.load import load_experiment
from harness.experiment.report.load.experiment import RecordedRun
from harness.experiment.report.page.run_data import away_table, steps_table
from harness.experiment.report.table import churn_table
from tests.support.runs import write_lines

ZERO = 1000.0
GROUPS = [
    {"generation": 1, "time": ZERO, "members": [0, 1, 2], "joined": [0, 1, 2], "lost": [], "step": 0},
    {"generation": 2, "time": ZERO + 14, "members": [0, 1], "joined": [], "lost": [2], "step": 10},
    {"generation": 3, "time": ZERO + 25, "members": [0, 1, 2], "joined": [2], "lost": [], "step": 20},
]
AWAY = [
    {"time": ZERO + 11.5, "rank": 2, "what": "kill", "until": ZERO + 18},
    {"time": ZERO + 18, "rank": 2, "what": "back", "until": None, "of": "kill"},
    {"time": ZERO + 18.1, "rank": 2, "what": "restarted", "until": None},
]


def start(time, generation=1, resumed=None, members=(0, 1, 2)):
    more = {"generation": generation, "members": list(members)}
    return {"kind": "start", "time": ZERO + time, "resumed_from": resumed, "elapsed": time, **more}


STEP = {"loss": 1.0, "seconds": 1.0, "seconds_compute": 0.4, "seconds_comm": 0.6, "sent_bytes": 10}


def steps(first, last, began):
    """Steps of a second, one after another."""
    return [
        {"kind": "step", "step": step, "time": ZERO + began + place, "elapsed": began + place, **STEP}
        for place, step in enumerate(range(first, last + 1), 1)
    ]


SURVIVOR = [start(0), *steps(1, 10, 0), start(14, 2, 10, (0, 1)), *steps(11, 20, 14), start(25, 3, 20)]
RANKS = {
    0: [*SURVIVOR, *steps(21, 30, 25)],
    1: [*SURVIVOR[:11], *steps(11, 11, 10), *SURVIVOR[11:], *steps(21, 30, 25)],
    2: [start(0), *steps(1, 11, 0), start(25, 3, 20), *steps(21, 30, 25)],
}


@pytest.fixture
def folder(tmp_path):
    facts = {"slug": "s", "profile": "wan", "topology": "ring", "nodes": 3, "seed": 0, "strategy": "ddp"}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    (tmp_path / "end.json").write_text(json.dumps({"status": "finished", "seconds": 40.0, "code": 0}))
    for rank, lines in RANKS.items():
        write_lines(tmp_path / f"rank-{rank}.jsonl", lines)
    write_lines(tmp_path / "membership.jsonl", [made(group) for group in GROUPS])
    write_lines(tmp_path / "away.jsonl", AWAY)
    return tmp_path


def made(group):
    return {**group, "seconds": 3.0, "state_bytes": 500 if group["generation"] > 1 else 0}


def loaded(folder) -> RecordedRun:
    return load_experiment(folder).runs[0]


def test_what_it_cost(folder):
    found = run_figures(loaded(folder)).churn
    assert found.goodput == pytest.approx(30 / 35)
    assert found.rank_goodput == pytest.approx(80 / 105)  # rank 2 did 20 of the 30 steps
    assert (found.groups, found.state_bytes) == (3, 500 + 2 * 500)
    assert found.steps_lost == 1  # rank 1 had done step 11, and did it again
    assert found.standstill == pytest.approx(4 + 1)
    (one,) = found.absences
    assert (one.rank, one.cause, one.start, one.end) == (2, "kill", pytest.approx(11.5), pytest.approx(18))
    assert one.rejoin_seconds == pytest.approx(7)
    assert one.words == "rank 2 killed from 11.5 s to 18 s, at work again after 7 s more"


def test_steps_are_those_of_all_that_were_there(folder):
    run = loaded(folder)
    assert [len(rank.steps) for rank in run.ranks] == [30, 30, 20]
    assert [(cost.step, cost.sent_bytes) for cost in step_costs(run)] == [
        (step, 20 if 10 < step <= 20 else 30) for step in range(1, 31)
    ]
    assert run_figures(run).steps == 30
    assert all(rank.resumed_from == () for rank in run.ranks)


def test_without_away_jsonl_the_groups_tell(folder):
    (folder / "away.jsonl").unlink()
    (one,) = run_figures(loaded(folder)).churn.absences
    assert (one.rank, one.cause, one.start, one.end) == (2, "lost", pytest.approx(11), pytest.approx(22))


def test_a_job_that_forms_no_groups_has_absences_only(folder):
    (folder / "membership.jsonl").unlink()
    write_lines(folder / "away.jsonl", [*AWAY, {"time": ZERO + 30, "rank": 1, "what": "cut", "until": None}])
    found = run_figures(loaded(folder)).churn
    assert (found.groups, found.state_bytes, found.standstill) == (0, 0, 0)
    assert [(one.rank, one.end is None) for one in found.absences] == [(2, False), (1, True)]
    assert found.absences[1].words == "rank 1 cut off from 30 s on"


def test_a_run_in_which_nobody_was_away_says_nothing(folder):
    (folder / "away.jsonl").unlink()
    write_lines(folder / "membership.jsonl", [made(GROUPS[0])])
    run = run_figures(loaded(folder))
    assert run.churn is None
    assert away_table(run).rows == ()


def test_it_is_in_the_table_the_json_and_the_charts(folder):
    analysis = analyse(load_experiment(folder))
    ((*_, groups, sent, words),) = churn_table(analysis).rows
    assert (groups, sent, words) == ("3", "1.5 kB", "rank 2 killed from 11.5 s to 18 s, at work again after 7 s more")
    churn = document(analysis)["runs"][0]["churn"]
    assert churn["absences"][0]["rejoin_seconds"] == pytest.approx(7)
    (run,) = analysis.runs
    assert away_table(run).rows == ((11.5, 25, words),)
    assert {(row["rank"], row["part"]) for row in steps_table(run).records() if row["seconds"] > 25} == {
        ("rank 0", 1),
        ("rank 1", 1),
        ("rank 2", 2),
    }


@pytest.mark.parametrize("name", ["membership.jsonl", "away.jsonl"])
def test_lines_that_make_no_sense_are_remarks(folder, name):
    with (folder / name).open("a") as file:
        file.write('{"time": 1, "generation": 4, "members": 3, "what": "gone", "rank": 1}\n')
    assert f"{folder.name}/{name}:4" in [note.where for note in load_experiment(folder).notes]
