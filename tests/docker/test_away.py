"""A scenario takes nodes away whose agents run the job: killed ones start again, paused ones never stay so."""

import json
import signal
import subprocess
import sys

import pytest

from tests.support.cli import wait_for
from tests.support.compose import project

pytestmark = pytest.mark.docker
JOB = """sh -c 'echo began ${HARNESS_RESTART:-0}; i=0; while [ ! -e /work/end ]; do
 i=$((i + 1)); echo count $i; sleep 0.1; done'"""
SCENARIO = "events: [{at: 2s, kill: {node: 1}, back: 1s}, {at: 2s, kill: {node: 2}}]"


def stands_still(net, rank):
    before = net.logs().count(f"[{rank}] count")
    net.exec(0, "sleep", "0.5")
    return net.logs().count(f"[{rank}] count") == before


def test_agents_start_a_killed_job_again_and_a_pause_ends_with_its_player(tmp_path):
    with project(tmp_path, NODES=3, PROFILE="none", COMMAND=JOB, SCENARIO="/work/away.yaml") as net:
        (net.work / "away.yaml").write_text(SCENARIO)
        net.start()
        wait_for(lambda: "[1] began 1" in net.logs(), 60)
        assert stands_still(net, 2)

        (net.work / "pause.yaml").write_text("events: [{at: 0, pause: {node: 1}}]")
        argv = [sys.executable, "-m", "harness", "play", str(net.work / "pause.yaml")]
        player = subprocess.Popen(argv, env=net.harness.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "pause node 1" in player.stdout.readline()
        wait_for(lambda: stands_still(net, 1), 30)
        player.send_signal(signal.SIGKILL)
        player.communicate(timeout=30)
        wait_for(lambda: not stands_still(net, 1), 30)

        (net.work / "end").touch()
        net.compose("wait", "node")
        assert [net.state(rank)["ExitCode"] for rank in range(3)] == [0, 0, 0], "rank 2 stays away, and has not failed"
        assert "failed" not in net.logs()
        (away,) = net.runs.glob("*/away.jsonl")
        told = [(line["what"], line["rank"]) for line in map(json.loads, away.read_text().splitlines())]
        assert told == [("kill", 1), ("kill", 2), ("back", 1)]
