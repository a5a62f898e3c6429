"""docker compose up: a job to its end, and what nodes are like from its first packet on."""

import json
import os
import signal
import time

import pytest

from harness.experiment.report.load import load_experiment
from tests.support.cli import wait_for
from tests.support.compose import IMAGE, PATIENCE, docker, ends_at_failure, left, project, took

pytestmark = pytest.mark.docker

WORKLOAD = "python -m harness.training.train --steps 5"
RING = {(0, 1): 5, (1, 2): 10, (2, 3): 20, (0, 3): 40}
"""One-way delay of every edge in ms."""
PATHS = {**RING, (0, 2): 15, (1, 3): 30}
"""The same of all pairs, over the fewest hops; of two ways with two hops each, what the plan says."""
SLACK = 15
"""Milliseconds that the machine may add to a round trip."""
CAPABILITIES = {"kill": 5, "setgid": 6, "setuid": 7, "net_admin": 12, "net_raw": 13}


def ring(folder):
    edges = "".join(f"  - {{between: [{a}, {b}], delay: {ms}ms}}\n" for (a, b), ms in RING.items())
    (folder / "ring.yaml").write_text(f"nodes: 4\nedges:\n{edges}")


def status(text):
    """The fields of a /proc/PID/status."""
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


# Networks without a job


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("idle")
    with project(folder, NODES=4, TOPOLOGY="/work/ring.yaml", COMMAND="") as net:
        ring(net.work)
        net.compose("up", "-d", "--wait")
        yield net


def test_nodes_become_healthy(idle):
    assert [idle.state(rank)["Health"]["Status"] for rank in range(4)] == ["healthy"] * 4


@pytest.mark.parametrize("version", [4, 6])
def test_a_name_is_reached_over_the_edges_of_its_path(idle, version):
    measured = idle.pings([(a, b) for pair in PATHS for a, b in (pair, pair[::-1])], version)
    for (a, b), milliseconds in measured.items():
        expected = 2 * PATHS[min(a, b), max(a, b)]
        assert expected - 0.5 < milliseconds < expected + SLACK, (a, b)


def test_who_is_no_node_is_not_reached(idle):
    words = ["-d", "--rm", "--network", f"{idle.name}_default", "--entrypoint", "sleep", IMAGE, "60"]
    stranger = docker("run", "--label", f"com.docker.compose.project={idle.name}", *words)
    try:
        networks = json.loads(docker("inspect", stranger))[0]["NetworkSettings"]["Networks"].values()
        (found,) = networks
        for address in (found["IPAddress"], found["GlobalIPv6Address"]):
            assert address
            said = idle.exec(0, "sh", "-c", f"ping -c 1 -W 5 {address} 2>&1; echo code $?")
            assert "No route to host" in said, said
            assert "code 0" not in said
    finally:
        docker("rm", "-f", stranger)


def test_the_agent_has_only_the_capabilities_of_compose_yaml(idle):
    held = status(idle.exec(2, "cat", "/proc/1/status", user="0:0"))
    mask = sum(1 << bit for bit in CAPABILITIES.values())
    assert [int(held[name], 16) for name in ("CapBnd", "CapPrm", "CapEff")] == [mask] * 3
    assert held["NoNewPrivs"] == "1"


def test_only_run_and_tmp_can_be_written(idle):
    said = idle.exec(1, "sh", "-c", "touch /tmp/a && touch /run/a && touch /opt/a /work/a", user="0:0", code=1)
    assert said == ""
    said = idle.exec(1, "sh", "-c", "touch /opt/a 2>&1; touch /work/a 2>&1; true", user="0:0")
    assert said.count("Read-only file system") == 2


def test_nodes_pass_packets_on_and_neither_send_nor_believe_redirects(idle):
    wanted = {
        "ipv4/conf/eth0/forwarding": "1",
        "ipv4/conf/eth0/send_redirects": "0",
        "ipv4/conf/all/send_redirects": "0",
        "ipv4/conf/eth0/accept_redirects": "0",
        "ipv6/conf/eth0/forwarding": "1",  # who forwards believes no redirects (net/ipv6/route.c, rt6_do_redirect)
    }
    for rank in range(4):
        said = idle.exec(rank, "cat", *(f"/proc/sys/net/{name}" for name in wanted))
        assert dict(zip(wanted, said.split(), strict=True)) == wanted


def test_tcp_is_set_for_slow_links(idle):
    files = [f"/proc/sys/net/ipv4/{name}" for name in ("tcp_rmem", "tcp_wmem", "tcp_no_metrics_save")]
    assert idle.exec(3, "cat", *files).split() == ["4096", "131072", "134217728", "4096", "65536", "134217728", "1"]
    (own,) = idle.exec(3, "cat", "/proc/sys/net/ipv4/tcp_congestion_control").split()
    for rank in range(3):  # a route's replaces what a program chooses, so it has one only where it must
        for version in (4, 6):
            route = idle.exec(3, "ip", "route", "get", idle.address(rank, version))
            assert ("congctl cubic" in route) is (own != "cubic")


def test_the_cli_finds_it(idle):
    edges = json.loads(idle.harness("link", "show", "--json").stdout)
    assert len(edges) == 2 * len(RING)
    assert idle.harness("exec", "3", "--", "id", "-u").stdout == "1000\n"


def test_a_node_that_comes_late_is_waited_for(tmp_path):
    with project(tmp_path, NODES=3, TOPOLOGY="ring", PROFILE="local", COMMAND="") as net:
        net.compose("up", "-d", "--scale", "node=2")

        def checks():
            return [check["ExitCode"] for check in net.state(0)["Health"]["Log"]]

        wait_for(checks, PATIENCE)
        assert 0 not in checks()
        assert not net.is_ready(0)
        net.compose("up", "-d", "--wait", "--no-recreate")
        assert all(net.is_ready(rank) for rank in range(3))


# Jobs


def test_the_default_workload_runs_to_its_end(tmp_path):
    with project(tmp_path, NODES=3, TOPOLOGY="ring", PROFILE="wan", COMMAND=WORKLOAD) as net:
        done = net.run()
        assert "[0] step 5/5  loss " in done.stdout
        assert "[0] held-out loss " in done.stdout
        (folder,) = net.runs.iterdir()
        files = {file.name for file in folder.iterdir() if file.is_file()}
        assert files == {
            "run.json",
            "end.json",
            *(f"{name}-{rank}.jsonl" for rank in range(3) for name in ("rank", "links", "flows", "collectives")),
        }
        assert all((folder / name).stat().st_uid == 1000 for name in files)
        assert [len(net.records(rank)) for rank in range(3)] == [5] * 3
        (run,) = load_experiment(folder).runs
        assert (run.profile, run.topology, run.end.status, run.end.code) == ("wan", "ring", "finished", 0)
        for pair in run.plan.edges:  # the first and last second may have samples of some nodes only
            sent = [sample.edges[pair].sent_bytes for sample in run.links if pair in sample.edges]
            assert sent[-1] > sent[0]
        moments = [sample.time for sample in run.links]
        assert len(moments) > 2 * (moments[-1] - moments[0]), "ten times a second, or as often as it may"
        assert {(flow.src, flow.dst) for flow in run.flows} >= {(0, 1), (1, 2), (2, 0)}
        assert all(flow.samples for flow in run.flows if (flow.src, flow.dst) == (0, 1))
        net.harness("report", str(folder), "--json")
        assert [net.state(rank)["ExitCode"] for rank in range(3)] == [0] * 3
        net.compose("down")
        assert left(net.name) == []


FIRST_PACKETS = """
import json, os, socket, struct, sys, time
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ours.bind(("", 4000))
ours.setblocking(False)
peers = {r: socket.gethostbyname(sys.argv[1].format(r + 1)) for r in range(size) if r != rank}
least = {}
end = time.monotonic() + 4
due = 0
while time.monotonic() < end:
    if time.monotonic() >= due:
        for address in peers.values():
            ours.sendto(struct.pack("=id", rank, time.monotonic()), (address, 4000))
        due = time.monotonic() + 0.02
    try:
        source, sent = struct.unpack("=id", ours.recv(100))
    except BlockingIOError:
        time.sleep(0.001)
        continue
    least[source] = min(least.get(source, 9), time.monotonic() - sent)
status = open("/proc/self/status").read()
with open(os.environ["HARNESS_RUN_DIR"] + f"/facts-{rank}.json", "w") as file:
    json.dump({"least": least, "status": status, "user": [os.getuid(), os.getgid(), os.getgroups()]}, file)
print("done", rank)
print("and said", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """Of a job whose results belong to user 1234: the network, what `up` printed, and its files by rank."""
    with project(tmp_path_factory.mktemp("sent"), NODES=4, TOPOLOGY="/work/ring.yaml") as net:
        ring(net.work)
        (net.work / "first.py").write_text(FIRST_PACKETS)
        net.variables["COMMAND"] = f"python first.py {net.name}-node-{{}}"
        net.runs.chmod(0o700)
        os.chown(net.runs, 1234, 1235)
        done = net.run()
        yield (
            net,
            done,
            {rank: json.loads(next(net.runs.glob(f"*/facts-{rank}.json")).read_text()) for rank in range(4)},
        )


def test_no_packet_of_a_job_is_early(sent):
    _, _, facts = sent
    for (a, b), one_way in PATHS.items():
        for src, dst in ((a, b), (b, a)):
            least = facts[dst]["least"][str(src)] * 1e3
            assert one_way - 0.5 <= least < one_way + SLACK, (src, dst)


def test_lines_carry_their_rank(sent):
    _, done, _ = sent
    for rank in range(4):
        assert f"[{rank}] done {rank}\n" in done.stdout
        assert f"[{rank}] and said\n" in done.stdout + done.stderr


def test_a_job_is_an_unprivileged_user(sent):
    _, _, facts = sent
    for rank in range(4):
        assert facts[rank]["user"] == [1234, 1235, []]
        held = status(facts[rank]["status"])
        assert [int(held[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")] == [0] * 4
        assert held["NoNewPrivs"] == "1"


def test_results_belong_to_the_owner_of_the_folder(sent):
    net, _, _ = sent
    files = [path for path in net.runs.rglob("*") if path.is_file()]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in files} == {(1234, 1235)}


# Failures


FAIL = """
import os, signal, sys, time
def stop(*_):
    print("told to stop")
    sys.exit(9)
signal.signal(signal.SIGTERM, stop)
rank = os.environ["RANK"]
print("began")
if rank == "2":
    time.sleep(1)
    sys.exit(7)
time.sleep(float(sys.argv[1]))
print("through")
"""


def failing(folder, seconds, **variables):
    return project(folder, NODES=3, PROFILE="datacenter", COMMAND=f"python fail.py {seconds}", **variables)


def test_the_rank_that_fails_first_ends_the_job_with_its_code(tmp_path):
    with failing(tmp_path, 3600) as net:
        (net.work / "fail.py").write_text(FAIL)
        done = net.run(code=7)
        said = done.stdout + done.stderr + net.logs()
        assert "rank 2 failed first (exit code 7)" in said
        assert said.count("through") == 0
        assert {rank: f"[{rank}] told to stop" in said for rank in range(3)} == {0: True, 1: True, 2: False}
        assert [net.state(rank)["ExitCode"] for rank in range(3)] == [7] * 3


def test_the_others_finish_where_failures_shall_not_stop_them(tmp_path):
    with failing(tmp_path, 3, ON_FAILURE="continue") as net:
        (net.work / "fail.py").write_text(FAIL)
        net.run(code=7)
        said = net.logs()
        assert [f"[{rank}] through" in said for rank in range(3)] == [True, True, False]
        assert "told to stop" not in said


# Ends from outside


SLEEP = "python -c 'import time; print(\"asleep\"); time.sleep(3600)'"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_compose_ends_all_within_the_grace(tmp_path, number):
    with project(tmp_path, NODES=2, PROFILE="wan", COMMAND=SLEEP) as net:
        with net.attached(*ends_at_failure()) as process:
            wait_for(lambda: net.attached_log().count("asleep") == 2, PATIENCE)
            began = time.monotonic()
            process.send_signal(number)
            process.wait(PATIENCE)
            assert took(began) < 15
        states = [net.state(rank) for rank in range(2)]
        assert [state["Running"] for state in states] == [False] * 2
        assert 137 not in [state["ExitCode"] for state in states]
        assert not any(state["OOMKilled"] for state in states)
        net.compose("down")
        assert left(net.name) == []


def test_compose_stop_and_down(tmp_path):
    with project(tmp_path, NODES=2, PROFILE="wan", COMMAND=SLEEP) as net:
        net.start()
        wait_for(lambda: net.logs().count("asleep") == 2, PATIENCE)
        began = time.monotonic()
        net.compose("stop")
        assert took(began) < 15
        assert [net.state(rank)["ExitCode"] for rank in range(2)] == [143] * 2
        net.compose("down")
        assert left(net.name) == []


def test_harness_down(tmp_path):
    with project(tmp_path, NODES=2, PROFILE="wan", COMMAND="") as net:
        net.start()
        assert net.name in net.harness("ls").stdout
        net.harness("down", "--name", net.name)
        assert left(net.name) == []
        assert net.name not in net.harness("ls").stdout
        net.harness("down", "--name", net.name)


def test_harness_down_removes_what_has_ended(tmp_path):
    with project(tmp_path, NODES=2, PROFILE="wan", COMMAND="true") as net:
        net.run()
        assert net.name in net.harness("down", "--name", net.name).stdout
        assert left(net.name) == []
