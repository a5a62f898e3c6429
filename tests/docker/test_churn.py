"""Nodes that are killed, stopped, paused and started again: what the others see, and that links follow the nodes."""

import itertools
import json
import re
import subprocess
import time

import pytest

from tests.support.cli import error_line, wait_for
from tests.support.compose import JOB, PATIENCE, docker, ends_at_failure, pause, project, took

pytestmark = pytest.mark.docker

WORKLOAD = "python -m harness.training.train --steps 100000 --evaluate-every 100000 --checkpoint-every 0"
BUSY = "python -c 'import time; print(\"at work\"); time.sleep(3600)'"
"""Where it makes no difference what the job does: it starts without PyTorch."""
PROFILE = "rate: 100mbit\ndelay: 5ms\n"
GONE = 137
"""The exit code of all where a node is gone: that of a process that was killed."""
BOUND = 15
"""Seconds within which the others see that a node is gone."""
START = 10
"""Seconds that a node waits for the others to appear."""
BACK = 120
"""Seconds for a node to come back."""
MESH = {(0, 1): 10, (0, 2): 20, (1, 2): 30, (0, 3): 40, (1, 3): 50, (2, 3): 60}
"""One-way delay of every edge in ms."""
SLACK = 18
"""Milliseconds that the machine may add to a round trip: less than by what edges differ."""
EARLY = 2
"""Milliseconds that a round trip may be too short by: what is asked here is which edge it pays."""


# In the middle of a job


def running(folder, command=BUSY, nodes=3, **variables):
    """Nodes with a job."""
    (folder / "work").mkdir()
    (folder / "work" / "even.yaml").write_text(PROFILE)
    return project(folder, NODES=nodes, TOPOLOGY="ring", PROFILE="/work/even.yaml", COMMAND=command, **variables)


def work(net, logs):
    """Until all are busy, by what they have said."""
    wait_for(lambda: logs().count("at work") == 3, PATIENCE)


def ended(net, ranks, bound=BOUND):
    """Wait until these have ended, no longer than the bound; what all have said."""
    began = time.monotonic()
    while any(net.state(rank)["Running"] for rank in ranks):
        assert took(began) < bound, f"{[rank for rank in ranks if net.state(rank)['Running']]} go on:\n{net.logs()}"
        time.sleep(0.4)
    return net.logs()


def assert_told(result, *words):
    """One clear line on standard error."""
    assert result.stdout == ""
    line = error_line(result.stderr)
    for word in words:
        assert word in line


def test_a_pause_stalls_the_job_and_a_kill_ends_it(tmp_path):
    with running(tmp_path, WORKLOAD, nodes=2) as net:
        net.compose("up", "-d")
        net.wait_for_records(5)

        pause(net.container(1))
        began = time.monotonic()
        for words in (("link", "show"), ("verify", "--seconds", "1"), ("exec", "1", "--", "true")):
            assert_told(net.harness(*words, code=70), "node 1", "docker unpause")
        assert took(began) < BOUND
        time.sleep(max(0, 4 - took(began)))
        before = len(net.records())
        docker("unpause", net.container(1))
        wait_for(lambda: len(net.records()) > before + 5, PATIENCE)
        assert [net.state(rank)["Status"] for rank in range(2)] == ["running"] * 2
        assert "failed" not in net.logs()
        assert "gone" not in net.logs()
        net.harness("link", "show")

        docker("kill", net.container(1))
        said = ended(net, [0])
        assert re.search(r"\[0\] rank 0: step \d+: \S", said), said
        assert said.count("rank 1 is gone") == 1
        assert "Traceback" not in said
        assert net.state(0)["ExitCode"] == GONE


def test_rank_0_is_killed(tmp_path):
    with running(tmp_path) as net:
        net.compose("up", "-d")
        work(net, net.logs)
        docker("kill", net.container(0))
        said = ended(net, (1, 2))
        assert said.count("rank 0 is gone") == 2
        assert "Traceback" not in said
        assert {net.state(rank)["ExitCode"] for rank in (1, 2)} == {GONE}


@pytest.mark.parametrize("rank", [0, 2])
def test_a_restart_in_the_middle_of_a_job_ends_it_everywhere(tmp_path, rank):
    """The restarted one has nobody to go on with, and nobody waits for it for ever."""
    with running(tmp_path, START_TIMEOUT=START) as net:
        net.compose("up", "-d")
        work(net, net.logs)
        docker("restart", "-t", "0", net.container(rank))
        said = ended(net, range(3), START + BOUND)  # one that has ended before it came back is waited for
        assert "Traceback" not in said
        assert all(net.state(other)["ExitCode"] for other in range(3)), said


def test_compose_ends_with_the_code_of_a_killed_node(tmp_path):
    with running(tmp_path) as net, net.attached(*ends_at_failure(), "--exit-code-from", "node") as process:
        work(net, net.attached_log)
        docker("stop", "-t", "20", net.container(2))
        began = time.monotonic()
        assert process.wait(PATIENCE) in (137, 143)
        assert took(began) < BOUND


# In a network without a job


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """Four nodes, no two edges of which are alike; each with an uplink."""
    variables = {"NODES": 4, "TOPOLOGY": "/work/mesh.yaml", "UPLINK": "200mbit", "COMMAND": ""}
    with project(tmp_path_factory.mktemp("mesh"), **variables) as net:
        edges = "".join(f"  - {{between: [{a}, {b}], delay: {ms}ms}}\n" for (a, b), ms in MESH.items())
        (net.work / "mesh.yaml").write_text(f"nodes: 4\nedges:\n{edges}")
        net.start()
        yield net


def assert_shaped(net, delays=MESH):
    """Every pair pays its own edge, both ways, over both versions of IP."""
    pairs = list(itertools.permutations(range(4), 2))
    for version in (4, 6):
        for (a, b), milliseconds in net.pings(pairs, version, lost=1).items():
            expected = 2 * delays[min(a, b), max(a, b)]
            assert expected - EARLY < milliseconds < expected + SLACK, (a, b, version)


def assert_limited(net, **limits):
    """Nodes hold what is asked for: uplinks of 200 Mbit/s, but for e.g. ``uplink1=50``."""
    rows = [row for row in json.loads(net.harness("node", "show", "--json").stdout) if row["limit"] != "cpu"]
    expected = {(rank, side): {"uplink": 200}.get(side) for rank in range(4) for side in ("uplink", "downlink")}
    expected |= {(int(name[-1]), name[:-1]): mbit for name, mbit in limits.items()}
    for row in rows:
        mbit = [limit and limit["rate_bit_s"] / 1e6 for limit in (row["requested"], row["applied"])]
        assert mbit == [expected[row["rank"], row["limit"]]] * 2, row
        assert row["mismatch"] is None
    assert len(rows) == 8


def all_back(net):
    """Until all nodes are ready and know of each other."""
    wait_for(lambda: all(net.is_ready(rank) for rank in range(4)), BACK)
    wait_for(lambda: net.works("link", "show"), BACK)


def test_a_restarted_node_has_the_links_as_they_are_now(mesh):
    assert_limited(mesh)
    mesh.harness("link", "set", "0-1", "--delay", "80ms")
    mesh.harness("node", "set", "1", "--uplink", "50mbit", "--downlink", "60mbit")
    try:
        target = mesh.address(1)
        command = ["docker", "exec", "--user", JOB, mesh.container(0)]
        command += ["ping", "-n", "-U", "-i", "0.05", "-W", "5", "-w", "25", target]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            time.sleep(2)
            docker("restart", mesh.container(1))
            assert mesh.address(1) == target
            all_back(mesh)
            times = [float(text) for text in re.findall(r"time=([\d.]+)", process.communicate()[0])]
        assert len(times) > 50
        # Its answers are shaped by us, even where its kernel answers before its agent has begun.
        assert min(times) > 80 - EARLY, sorted(times)[:5]
        assert_shaped(mesh, {**MESH, (0, 1): 80})
        assert_limited(mesh, uplink1=50, downlink1=60)
    finally:
        mesh.harness("link", "set", "0-1", "--delay", "10ms")
        mesh.harness("node", "set", "1", "--uplink", "200mbit", "--downlink", "none")


def test_links_follow_nodes_that_come_back_with_other_addresses(mesh):
    before = [mesh.address(rank) for rank in range(4)]
    docker("stop", mesh.container(1), mesh.container(2))
    for rank in (2, 1) if before[1] < before[2] else (1, 2):
        docker("start", mesh.container(rank))
    assert [mesh.address(rank) for rank in (0, 1, 2, 3)] == [before[0], before[2], before[1], before[3]]
    all_back(mesh)
    assert_shaped(mesh)


def test_rank_0_comes_back_and_learns_what_was_changed(mesh):
    mesh.harness("link", "set", "2-3", "--delay", "90ms")
    mesh.harness("node", "set", "2", "--uplink", "50mbit")
    try:
        docker("restart", mesh.container(0))
        all_back(mesh)
        assert_shaped(mesh, {**MESH, (2, 3): 90})
        assert_limited(mesh, uplink2=50)
    finally:
        mesh.harness("link", "set", "2-3", "--delay", "60ms")


@pytest.mark.parametrize("rank", [0, 2])
def test_a_node_that_is_gone_is_named_with_a_remedy(mesh, rank):
    docker("kill", mesh.container(rank))
    try:
        began = time.monotonic()
        for words in (("link", "show"), ("verify", "--seconds", "1"), ("exec", str(rank), "--", "true")):
            assert_told(mesh.harness(*words, code=70), f"node {rank}", "has ended", "docker start")
        assert_told(mesh.harness("link", "set", f"{rank}-3", "--delay", "1ms", code=70), f"node {rank}", "docker start")
        assert took(began) < BOUND
    finally:
        docker("start", mesh.container(rank))
        all_back(mesh)
    assert_shaped(mesh)
