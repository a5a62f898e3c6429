"""Containers with a share of a CPU: Docker's quota, set and changed from outside, read back from the kernel inside."""

import json
import os

import pytest

from tests.support.cli import Command
from tests.support.compose import READY, docker, project, subnets
from tests.support.live import own

pytestmark = pytest.mark.docker
IMAGE = os.environ.get("IMAGE", "harness-node")
USED = "import time as t; b = t.monotonic(), t.process_time()\nwhile t.monotonic() < b[0] + 1: pass\n"
USED += "print((t.process_time() - b[1]) / (t.monotonic() - b[0]))"


def test_containers_have_their_share_and_it_changes_while_they_run(tmp_path):
    harness, name = Command(tmp_path), own("cpu")
    addresses = [word for pair in zip(("--subnet", "--subnet6"), subnets(), strict=True) for word in pair]

    def held():
        found = json.loads(harness("node", "show", "1", "--name", name, "--json").stdout)
        return next((one["applied"], one["mismatch"]) for one in found if one["limit"] == "cpu")

    words = ["--runtime", "docker", "--image", IMAGE, "--name", name, "-n", "2", "-p", "none", "--cpu", "1=25%"]
    up = harness("up", *words, *addresses)
    try:
        assert "a container's share of a CPU is for everything in it" in up.stderr
        assert held() == (0.25, None)
        assert 0.1 < float(harness("exec", "--name", name, "1", "--", "python3", "-c", USED).stdout) < 0.29
        harness("node", "set", "1", "--cpu", "50%", "--name", name)
        assert held() == (0.5, None)
        harness("node", "set", "1", "--cpu", "none", "--name", name)
        assert held() == (None, None)
        refused = harness("node", "set", "1", "--cpu", "90000%", "--name", name, code=2)
        assert "node 1: 90000% of a CPU is more than this machine has" in refused.stderr
    finally:
        harness("down", "--name", name)


def test_under_compose_a_node_waits_until_somebody_has_limited_its_container(tmp_path):
    with project(tmp_path, NODES=2, PROFILE="none", COMMAND="", CPU="1=30%", IMAGE=IMAGE) as net:
        net.compose("up", "-d")
        how = f"docker update --cpu-period 20000 --cpu-quota 6000 {net.container(1)}"
        net.wait_until_logged(f"waiting until somebody runs: {how}")
        assert READY not in net.logs()
        docker(*how.split()[1:])
        net.wait_until_logged(READY)
        (row,) = (row for row in json.loads(net.harness("node", "show", "1", "--json").stdout) if row["limit"] == "cpu")
        assert (row["requested"], row["applied"], row["mismatch"]) == (0.3, 0.3, None)
