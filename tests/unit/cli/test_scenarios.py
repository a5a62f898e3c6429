"""``harness scenarios``."""

import json

from harness.scenario.models.catalogue import MODELS
from harness.scenario.scenario_name import shipped_scenarios
from tests.unit.cli.test_main import harness


def test_as_json():
    told = json.loads(harness("scenarios", "--json").stdout)
    assert [one["name"] for one in told["scenarios"]] == list(shipped_scenarios())
    assert [one["name"] for one in told["models"] if one["of"] == "trace"] == list(MODELS)
    assert [one["name"] for one in told["models"] if one["of"] == "availability"] == ["spot-preemption"]
    assert all(one["sources"] for one in told["models"])


def test_one_is_printed_to_be_changed(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(harness("scenarios", "flaky-wan").stdout)
    own, shipped = (harness("play", each, "--dry-run").stdout for each in (str(mine), "flaky-wan"))
    assert own.splitlines()[1:] == shipped.splitlines()[1:]


def test_an_unknown_one_is_one_line():
    done = harness("scenarios", "flaky")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "scenario 'flaky' is unknown" in done.stderr
