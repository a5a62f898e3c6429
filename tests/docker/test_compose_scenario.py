"""SCENARIO=flaky.yaml docker compose up: every node plays it by itself, at the same times, and by the job's steps."""

import json

import pytest

from tests.support.compose import project

pytestmark = pytest.mark.docker

JOB = (
    'python -c "import os, time, harness\n'
    "print('restarts', os.environ.get('HARNESS_RESTART', 0), flush=True)\n"
    "for step in range(1, 41):\n"
    "    time.sleep(0.05)\n"
    "    if os.environ['RANK'] == '2': harness.step(step); print('step', step, time.time(), flush=True)\""
)
EVENTS = """
events:
  - {at: 300ms, for: 300ms, down: {edge: 1-2}}
  - {at: 500ms, set: {edge: all, delay: 7ms}}
  - {at: 700ms, kill: {node: 1}, back: 200ms}
  - {at: step 20, node: {ranks: 1, uplink: 5mbit}}
  - {at: step 999, heal: all}
  - {at: 100s, heal: all}
"""


def test_every_node_plays_it_at_the_same_times_and_by_steps(tmp_path):
    with project(tmp_path, NODES=3, PROFILE="none", TOPOLOGY="ring", SCENARIO="flaky.yaml", COMMAND=JOB) as net:
        (net.work / "flaky.yaml").write_text(EVENTS)
        net.run()
        said = net.logs()
        (folder,) = net.runs.iterdir()
        away = [json.loads(line) for line in (folder / "away.jsonl").read_text().splitlines()]
        facts = json.loads((folder / "run.json").read_text())
        lines = [json.loads(line) for line in (folder / "changes.jsonl").read_text().splitlines()]
    assert "0.300 s: down 1-2 (acknowledged" in said
    assert "flaky.yaml:8: events[5].heal: ended before 100.000 s: heal has not happened" in said
    assert "flaky.yaml:7: events[4].heal: the job has not reached step 999" in said
    assert said.count("heal has not happened") == 1, "rank 0 says it for all"
    assert "[1] restarts 0" in said
    assert "[1] restarts 1" in said
    assert [(line["rank"], line["what"]) for line in away] == [(1, "kill"), (1, "back")]
    assert facts["scenario"] == "flaky.yaml"
    assert [line["at"] for line in lines][:3] == [0.3, 0.5, 0.6]
    assert [len(line["edges"]) for line in lines] == [2, 6, 2, 0]
    assert lines[3]["nodes"][0]["rank"] == 1
    stamps = {int(line.split()[2]): float(line.split()[3]) for line in said.splitlines() if line.startswith("[2] step")}
    assert stamps[20] < lines[3]["acknowledged"] < stamps[22] + 0.3


def test_nodes_hold_what_it_has_changed_and_others_may_change_it_too(tmp_path):
    with project(tmp_path, NODES=3, PROFILE="none", TOPOLOGY="ring", SCENARIO="slow.yaml", COMMAND="") as net:
        (net.work / "slow.yaml").write_text(
            "events: [{at: 1s, set: {edge: 1-2, delay: 20ms}}, {at: 4s, down: {edge: 0-1}}]"
        )
        net.start()
        net.wait_until_logged("1.000 s: set 1-2 delay 20ms (acknowledged")
        net.harness("link", "set", "1-2", "--loss", "1%")
        net.wait_until_logged("4.000 s: down 0-1 (acknowledged")
        shown = json.loads(net.harness("link", "show", "--json").stdout)
        assert net.ping(1, 2, lost=6) > 40
    edges = {(edge["src"], edge["dst"]): edge for edge in shown}
    assert edges[1, 2]["applied"]["delay_s"] == edges[2, 1]["applied"]["delay_s"] == 0.02, shown
    assert edges[1, 2]["applied"]["loss"] == pytest.approx(0.01)
    assert edges[0, 1]["down"] is True


def test_a_scenario_that_does_not_fit_ends_it_before_the_job_with_one_line(tmp_path):
    with project(tmp_path, NODES=2, PROFILE="none", SCENARIO="far.yaml", COMMAND="echo began") as net:
        (net.work / "far.yaml").write_text("events:\n  - {at: 1s, down: {edge: 0-9}}\n")
        net.run(code=2)
        said = net.logs()
    assert said.count("SCENARIO: far.yaml:2: events[0].down: there is no rank 9") == 1, said
    assert "began" not in said
