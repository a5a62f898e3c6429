"""``harness stack`` on a swarm of two machines: jobs that end well and badly, files, logs by rank, results."""

import json
import os
import subprocess

import pytest

from tests.support.cli import Command, wait_for

pytestmark = pytest.mark.skipif(
    "SWARM_HOSTS" not in os.environ, reason="no swarm answers: run the tests under scripts/with-swarm"
)
IMAGE = "harness-node"
NODES = 4
OPPOSITE = """
import os, subprocess, sys
from here import opposite  # another file of the folder
rank = int(os.environ["RANK"])
subprocess.run(["ping", "-U", "-q", "-c", "2", f"node-{opposite(rank)}"], check=True)
open(os.path.join(os.environ["HARNESS_RUN_DIR"], f"said-{rank}.txt"), "w").write(str(rank))
"""


def docker(*words, code=0):
    done = subprocess.run(["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert code in (None, done.returncode), done.stdout
    return done.stdout


class Stack:
    """One stack, from its file to its end."""

    def __init__(self, folder, name):
        self.name, self.folder, self.harness = name, folder, Command(folder / "state")
        self.machines = set()
        self.runs, self.work = folder / "runs", folder / "work"
        for made in (self.runs, self.work):
            made.mkdir()
        os.chown(self.runs, 1000, 1000)

    def deploy(self, *words, image=None):
        file = self.folder / "stack.yaml"
        # By its id: nobody is asked for a newer one.
        image = image or docker("image", "inspect", "--format", "{{.Id}}", IMAGE).strip()
        options = ["--name", self.name, "--work", str(self.work), "--runs", str(self.runs), "--image", image]
        self.harness("stack", "-n", str(NODES), "-t", "ring", "-p", "none", *options, "--out", str(file), *words)
        docker("stack", "deploy", "--resolve-image", "never", "-c", str(file), self.name)

    def tasks(self):
        """State and error of each rank, by its number."""
        lines = docker("stack", "ps", self.name, "--no-trunc", "--format", "{{json .}}").splitlines()
        found = {one["Name"].removeprefix(f"{self.name}_rank-")[:-2]: one for one in map(json.loads, lines)}
        self.machines = {one["Node"] for one in found.values()}
        return [(found[str(rank)]["CurrentState"].split()[0], found[str(rank)]["Error"]) for rank in range(NODES)]

    def wait_for_the_end(self):
        wait_for(
            lambda: (
                not {"Running", "Starting", "Preparing", "Assigned", "New", "Pending", "Ready", "Accepted"}
                & {state for state, _ in self.tasks()}
            ),
            90,
        )

    def log(self, rank):
        return docker("service", "logs", "--raw", f"{self.name}_rank-{rank}")

    def remove(self):
        docker("stack", "rm", self.name, code=None)
        wait_for(lambda: f"{self.name}_" not in docker("network", "ls"), 60)


@pytest.fixture
def stack(tmp_path):
    made = Stack(tmp_path, "demo")
    try:
        yield made
    finally:
        made.remove()


def test_a_job_runs_on_both_machines_through_relays_with_its_files_and_its_results_come_home(stack):
    (stack.work / "job.py").write_text(OPPOSITE)
    (stack.work / "here.py").write_text(f"def opposite(rank): return (rank + 2) % {NODES}\n")
    stack.deploy("--", "python", "job.py")
    stack.wait_for_the_end()
    assert stack.tasks() == [("Complete", "")] * NODES, stack.log(0)
    assert "4 nodes ready: ring" in stack.log(0)
    logs = [stack.log(rank) for rank in range(NODES)]
    for rank, log in enumerate(logs):
        assert f"[{rank}] 2 packets transmitted, 2 received" in log
        assert f"[{(rank + 1) % NODES}]" not in log
    assert len(stack.machines) == 2
    (run,) = stack.runs.iterdir()
    assert {f"said-{rank}.txt" for rank in range(NODES)} < {path.name for path in run.iterdir()}
    assert json.loads((run / "end.json").read_text())["status"] == "finished"


def test_the_first_rank_that_fails_ends_the_job_everywhere(stack):
    stack.deploy("--", "sh", "-c", '[ "$RANK" = 2 ] && exit 7; exec sleep 600')
    stack.wait_for_the_end()
    assert stack.tasks() == [("Failed", '"task: non-zero exit (7)"')] * NODES
    for rank in (0, 2):
        assert "rank 2 failed first (exit code 7)" in stack.log(rank)
    (run,) = stack.runs.iterdir()
    assert json.loads((run / "end.json").read_text())["failed_rank"] == 2


@pytest.mark.full
def test_an_image_that_no_machine_has_is_named_by_swarm(stack):
    stack.deploy("--", "true", image="sha256:" + "0" * 64)
    wait_for(lambda: stack.tasks()[1][0] == "Rejected", 60)
    assert "No such image" in stack.tasks()[1][1]
