"""A network on two machines, from the manager: what is done to ranks of the other machine, and seen there.

What runs there is a job that waits, beside which the command line works.
"""

import json
import os
import re
import subprocess

import pytest
import yaml

from tests.support.cli import Command, wait_for

pytestmark = pytest.mark.skipif(
    "SWARM_HOSTS" not in os.environ, reason="no swarm answers: run the tests under scripts/with-swarm"
)

HERE, THERE = 0, 1
"""Ranks: of the manager, of the other machine."""
PROBE = """
import socket
def asked(address, device=None):
    with socket.socket() as agent:
        agent.settimeout(2)
        if device:
            agent.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        try:
            agent.connect((address, 29322))
            agent.sendall(b'{"do":"state"}\\n')
            return agent.recv(100).decode() or "nothing"
        except OSError as problem:
            return type(problem).__name__
"""


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    return Command(tmp_path_factory.mktemp("manager"))


def docker(*words, host=0):
    command = ["docker", "--host", os.environ["SWARM_HOSTS"].split()[host], *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def stack(harness, tmp_path_factory):
    """Its name: two nodes, rank 1 on the machine that is no manager."""
    work = tmp_path_factory.mktemp("work")
    (work / "wait.sh").write_text("while sleep 60; do :; done")
    file = tmp_path_factory.mktemp("stack") / "stack.json"
    image = docker("image", "inspect", "--format", "{{.Id}}", "harness-node").strip()  # nobody is asked for a newer one
    words = ["-n", "2", "-t", "line", "-p", "wan", "--name", "far", "--work", str(work), "--image", image]
    harness("stack", *words, "--out", str(file), "--", "sh", "/work/wait.sh")
    made = yaml.safe_load(file.read_text())
    made["services"]["rank-1"]["deploy"]["placement"] = {"constraints": ["node.role == worker"]}
    file.write_text(json.dumps(made))
    docker("stack", "deploy", "--resolve-image", "never", "-c", str(file), "far")
    try:
        wait_for(lambda: "nodes ready" in docker("service", "logs", "far_rank-0"), 60)
        yield "far"
    finally:
        harness("down", "--name", "far")
    assert "far_" not in docker("ps", "--all") + docker("network", "ls")
    wait_for(lambda: "far_" not in docker("ps", "--all", host=THERE))
    assert docker("service", "ls", "--quiet") == docker("config", "ls", "--quiet") == ""


def test_it_is_listed_and_a_link_between_two_machines_changes_at_both_ends(harness, stack):
    (listed,) = json.loads(harness("ls", "--json").stdout)
    assert (listed["name"], listed["nodes"], listed["runtime"]) == (stack, 2, "docker")
    harness("link", "set", "0-1", "--delay", "40ms", "--jitter", "0ms", "--loss", "0%", "--name", stack)
    wait_for(lambda: json.loads(harness("machines", "--json", "--name", stack).stdout)["paths"], 30)
    near, far = json.loads(harness("machines", "--json", "--name", stack).stdout)["ranks"]
    assert near["machine"] != far["machine"]
    assert abs(far["path"]["ahead"]) < far["path"]["uncertainty"] + 0.0001, "both are this machine's clock"
    assert "same machine" in harness("machines", "--name", stack).stdout
    edges = json.loads(harness("link", "show", "--json", "--name", stack).stdout)
    assert {(one["src"], one["applied"]["delay_s"]) for one in edges} == {(HERE, 0.04), (THERE, 0.04)}
    ping = harness("exec", "--name", stack, str(THERE), "--", "ping", "-U", "-c", "3", "-q", "node-0").stdout
    assert 80 <= float(re.search(r"min/avg/max/mdev = ([\d.]+)/", ping)[1]) < 100


def test_programs_there_are_jobs_with_streams_and_exit_codes(harness, stack):
    script = (
        "import os, re, sys; print(os.getuid(), os.environ['RANK']);"
        "print(re.findall('(?:CapEff|NoNewPrivs):.*', open('/proc/self/status').read())); sys.exit(7)"
    )
    done = harness("exec", "--name", stack, str(THERE), "--", "python3", "-c", script, code=7)
    assert done.stdout == f"1000 {THERE}\n['CapEff:\\t0000000000000000', 'NoNewPrivs:\\t1']\n"
    both = harness("exec", "--name", stack, "all", "--", "hostname").stdout
    assert sorted(line[:4] for line in both.splitlines()) == ["[0] ", "[1] "]


def test_jobs_reach_no_agent_by_the_agents_network(harness, stack):
    script = f"{PROBE}\nprint(asked('manage-{HERE}'), asked('manage-{THERE}'), asked('manage-{HERE}', b'eth1'))"
    said = harness("exec", "--name", stack, str(THERE), "--", "python3", "-c", script).stdout.split()
    assert said[0] == "PermissionError", "a rule keeps it from other nodes' agents"
    assert said[1] in ("ConnectionResetError", "nothing"), "its own node's takes nothing from there"
    assert said[2] == "TimeoutError", "rules of routing do not hold for what is bound to the interface"


def test_shares_of_a_cpu_are_swarms(harness, stack):
    done = harness("node", "set", "1", "--cpu", "50%", "--name", stack, code=2)
    assert "set deploy.resources.limits.cpus of rank-1 in the stack file" in done.stderr


def test_from_the_other_machine_it_is_the_same_but_for_its_end(stack, tmp_path):
    there = Command(tmp_path)
    there.env["DOCKER_HOST"] = os.environ["SWARM_HOSTS"].split()[THERE]
    assert there("exec", "--name", stack, str(HERE), "--", "sh", "-c", "echo $RANK").stdout == f"{HERE}\n"
    assert (
        "only a manager can remove: run 'harness down --name far' there"
        in there("down", "--name", stack, code=69).stderr
    )


def test_a_rank_whose_container_is_killed_is_named(harness, stack):
    """The last test: its job ends with it."""
    killed = docker("ps", "--quiet", "--filter", "label=tc-harness.rank=1", host=THERE).strip()
    docker("kill", killed, host=THERE)
    docker("wait", killed, host=THERE)
    said = harness("link", "show", "--name", stack, code=70).stderr
    assert "rank 1 is gone, or its machine does not answer" in said
    assert "docker service ps far_rank-1" in said
