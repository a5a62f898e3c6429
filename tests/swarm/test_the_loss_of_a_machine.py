"""What agents measure between two machines, and how a job ends when one of these loses its Docker daemon.

The last file of this folder, by its name: the second machine is of no use afterwards.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.support.cli import Command, wait_for

pytestmark = pytest.mark.skipif(
    "SWARM_HOSTS" not in os.environ, reason="no swarm answers: run the tests under scripts/with-swarm"
)


def docker(*words):
    done = subprocess.run(["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.stdout


def below(process):
    """All processes that it has started, and these, by their numbers here."""
    children = Path(f"/proc/{process}/task/{process}/children")
    found = [int(child) for child in children.read_text().split()] if children.exists() else []
    return found + [one for child in found for one in below(child)]


def command(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_text().split("\0")
    except OSError:
        return []


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    return Command(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def runs(harness, tmp_path_factory):
    """The folder for results of a job on two nodes that waits; rank 1 is on the machine that is no manager."""
    file, runs = (tmp_path_factory.mktemp(name) / name for name in ("stack.json", "runs"))
    runs.mkdir()
    os.chown(runs, 1000, 1000)
    image = docker("image", "inspect", "--format", "{{.Id}}", "harness-node").strip()
    words = ["--nodes", "2", "--topology", "line", "--profile", "wan", "--name", "two", "--runs", str(runs)]
    harness("stack", *words, "--image", image, "--out", str(file), "--", "sleep", "1000")
    made = yaml.safe_load(file.read_text())
    made["services"]["rank-1"]["deploy"]["placement"] = {"constraints": ["node.role == worker"]}
    file.write_text(json.dumps(made))
    docker("stack", "deploy", "--resolve-image", "never", "-c", str(file), "two")
    try:
        wait_for(lambda: "path: between the machines of ranks 0 and 1" in log(), 90)
        yield runs
    finally:
        docker("stack", "rm", "two")


def log():
    return docker("service", "logs", "--raw", "two_rank-0")


@pytest.mark.full
def test_verify_expects_the_paths_round_trip_on_top_and_claims_nothing_one_way(harness, runs):
    harness("link", "set", "0-1", "--rate", "10mbit", "--delay", "20ms", "--name", "two")
    rows = json.loads(harness("verify", "0-1", "--seconds", "2", "--name", "two", "--json").stdout)
    trips = [row for row in rows if row["quantity"] == "rtt"]
    assert [row["ok"] for row in trips] == [True, True]
    for row in trips:
        assert "the path between the machines takes" in row["note"]
        assert "one way not measured: clocks of two machines, +-" in row["note"]


def test_a_daemon_that_dies_ends_the_job_on_both_machines_with_a_line_that_says_so(runs):
    (run,) = runs.iterdir()
    found = json.loads((run / "machines.json").read_text())
    first, second = found["ranks"]
    assert first["machine"] != second["machine"]
    assert abs(second["path"]["ahead"]) <= second["path"]["uncertainty"] + 1e-3, "both have this machine's clock"
    assert second["path"]["passes"] == {"links": True, "manage": True}

    machine = int(os.environ["SWARM_MACHINES"].split()[1])
    (daemon,) = (one for one in below(machine) if Path(command(one)[0] if command(one) else "").name == "dockerd")

    def jobs():
        return [one for one in below(machine) if command(one)[:2] == ["sleep", "1000"]]

    assert jobs(), "rank 1's job runs there"
    os.kill(daemon, signal.SIGKILL)
    began = time.monotonic()
    wait_for(lambda: not jobs(), 60)
    wait_for(lambda: "Failed" in docker("stack", "ps", "--format", "{{.CurrentState}}", "two"), 60)
    took = time.monotonic() - began
    assert "rank 1 is gone: its machine's Docker daemon does not answer" in log()
    assert "results: not those of rank 1, which is gone" in log()
    ending = json.loads((run / "end.json").read_text())
    assert (ending["status"], ending["code"], ending["failed_rank"]) == ("failed", 137, 1)
    assert took < 25, "10 s on a machine that has nothing else to do"
