"""What is said of a run at its end."""

import json
import re
from dataclasses import replace

import pytest

from harness.experiment.report.analysis.links import link_use
from harness.experiment.report.load import load_experiment
from harness.experiment.report.load.records import RecordedRun, RunEnd
from harness.experiment.summary import summary
from harness.model.plan_options import PlanOptions
from tests.support.runs import DDP, make_run


@pytest.fixture
def trained(tmp_path):
    """A run of the trainer, with all records."""
    plan = PlanOptions(4, "ring", "mobile", None, 0, None, None).plan()
    folder = tmp_path / "run"
    make_run(folder, plan, DDP)
    end = json.loads((folder / "end.json").read_text())
    (folder / "end.json").write_text(json.dumps({**end, "codes": {"0": 0, "1": 0, "2": 0, "3": 0}}))
    return load_experiment(folder).runs[0]


def of(run):
    return dict(summary(run))


def test_a_run_with_all_records(trained):
    found = of(trained)
    assert list(found) == ["result", "exit codes", "steps", "sent", "busiest", "lost", "why", "try"]
    assert found["exit codes"] == "0 on all 4 ranks"
    assert found["steps"].startswith("held-out loss ")
    assert "at step 0, " in found["steps"]
    assert re.fullmatch(r"\d->\d, [\d.]+ % of its [\d.]+ Mbit/s", found["busiest"])
    lost = re.fullmatch(r"(\d+) packets? dropped of ([\d,]+), \d+ TCP segments? retransmitted", found["lost"])
    use = link_use(trained)
    assert int(lost[1]) == use.dropped > 0
    assert int(lost[2].replace(",", "")) == use.sent_packets + use.dropped


def test_a_run_that_recorded_nothing_says_so():
    bare = RecordedRun("x", "wan", "ring", 2, 0, "", "x", None, "userspace", {})
    assert of(bare) == {"result": "its end was not recorded", "why": of(bare)["why"]}


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({0: 0}, "0 on 1 rank"),
        ({0: 143, 1: 9}, "rank 0: 143, rank 1: 9"),
        ({**dict.fromkeys(range(9), 0), 9: 1}, "0 on 9 ranks, 1 on 1 rank"),
    ],
)
def test_exit_codes(trained, codes, said):
    assert of(replace(trained, end=RunEnd("failed", 2.5, codes=codes)))["exit codes"] == said


@pytest.mark.parametrize(
    ("status", "said"),
    [("finished", "finished after 2.5 s"), ("limit", "time over after 2.5 s"), ("stopped", "stopped after 2.5 s")],
)
def test_the_result(trained, status, said):
    assert of(replace(trained, end=RunEnd(status, 2.5)))["result"] == said
