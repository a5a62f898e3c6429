"""A sampler on real networks of namespaces: what it writes of a real transfer, and how it ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from harness.backends.base import Stdio
from harness.backends.netns.namespaces import start_time
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from harness.networks.sampler import Sampler
from tests.support.cli import wait_for
from tests.support.live import network, own, run, up
from tests.support.plans import shape

pytestmark = [pytest.mark.links, pytest.mark.namespaces]

PORT = 5001
RECEIVE = (
    "import socket, sys\ns = socket.create_server(('', int(sys.argv[1])))\nc, _ = s.accept()\nprint('on', flush=True)\n"
)
RECEIVE += "while c.recv(1 << 16): pass"
SEND = """
import socket, sys, time
for _ in range(100):
    try:
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
end = time.time() + float(sys.argv[3])
while time.time() < end:
    s.send(bytes(1 << 16))
"""


def transfer(net, seconds, src=0, dst=1):
    """Send as fast as TCP does for so long."""
    stdio = Stdio(subprocess.DEVNULL, subprocess.DEVNULL, None)
    receiver = net.backend.spawn(dst, [sys.executable, "-c", RECEIVE, str(PORT)], stdio=stdio)
    run(net, src, sys.executable, "-c", SEND, str(net.plan.addressing.ipv4(dst)), str(PORT), str(seconds))
    assert receiver.wait(20) == 0


def lines(folder, name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def flow(folder, src, dst):
    """The one flow from src to dst: its first line, its samples as (time, [values]) and when it ended."""
    found = lines(folder, "flows.jsonl")
    (begun,) = (line for line in found if line["kind"] == "flow" and (line["src"], line["dst"]) == (src, dst))
    rows = [(line["time"], row) for line in found if line["kind"] == "sample" for row in line["flows"]]
    samples = [(at, row[1:]) for at, row in rows if row[0] == begun["id"]]
    (ended,) = (line["time"] for line in found if line["kind"] == "end" and line["id"] == begun["id"])
    return begun, samples, ended


@pytest.mark.engine
def test_what_edges_share_is_counted_beside_them(tmp_path):
    plan = network("fully_connected", 3, shape(delay="5ms"))
    capped = NodeShape(uplink=Capacity(Rate(20_000_000)), downlink=Capacity(Rate(15_000_000)))
    trunk = {("a", "b"): Capacity(Rate(30_000_000))}
    plan = replace(plan.with_nodes({0: capped}), regions={"a": (0,), "b": (1, 2)}, trunk_capacities=trunk)
    with up(plan) as net, Sampler(net, tmp_path) as sampler:
        transfer(net, 1.5)
        assert sampler.messages() == []
    *before, last = lines(tmp_path, "links.jsonl")
    counted = {one["name"]: one for one in last["caps"]}
    assert set(counted) == {"uplink 0", "downlink 0", "trunk a->b"}
    edge = next(one for one in last["edges"] if (one["src"], one["dst"]) == (0, 1))
    for name in ("uplink 0", "trunk a->b"):
        assert 0.9 < counted[name]["sent_bytes"] / edge["sent_bytes"] < 1.1
    assert 0 < counted["downlink 0"]["sent_packets"] <= edge["sent_packets"]
    assert len({line["caps"][0]["sent_bytes"] for line in before if line.get("caps")}) > 1


@pytest.mark.timing
@pytest.mark.engine
def test_a_transfer_over_a_lossy_link(tmp_path):
    with up(network("line", 2, shape(delay="15ms", rate="20mbit", loss="1%"))) as net:
        with Sampler(net, tmp_path, attempt=2) as sampler:
            transfer(net, 4)
            time.sleep(0.5)
            assert sampler.messages() == []
        counted = net.applied()[0, 1].stats
    begun, samples, ended = flow(tmp_path, 0, 1)
    assert (begun["dst_port"], begun["congestion_control"], begun["mss"]) == (PORT, "cubic", 1448)
    assert {line["attempt"] for name in ("flows.jsonl", "links.jsonl") for line in lines(tmp_path, name)} == {2}
    cwnd, rtt, retransmits, rate, acked, busy, _ = zip(*(row for _, row in samples), strict=True)
    assert all(0 < one < 1000 for one in cwnd)
    assert all(29_000 < one < 300_000 for one in rtt[2:])
    assert retransmits[-1] > 0
    assert all(later >= earlier for earlier, later in pairwise(acked))
    assert acked[-1] > 100_000
    assert 0 < rate[-1] < 1.1 * 20e6 / 8
    assert 2e6 < busy[-1] < 6e6
    assert begun["time"] < samples[-1][0] < ended
    last = next(edge for edge in lines(tmp_path, "links.jsonl")[-1]["edges"] if (edge["src"], edge["dst"]) == (0, 1))
    assert {name: value for name, value in last.items() if name not in ("src", "dst")} == vars(counted)
    assert last["dropped"] > 0


@pytest.mark.timing
@pytest.mark.engine
def test_a_queue_that_fills(tmp_path):
    with up(network("line", 2, shape(delay="5ms", rate="10mbit"))) as net, Sampler(net, tmp_path):
        transfer(net, 3)
    found = [
        edge
        for line in lines(tmp_path, "links.jsonl")
        for edge in line["edges"]
        if (edge["src"], edge["dst"]) == (0, 1)
    ]
    assert max(edge["backlog_bytes"] for edge in found) > 20_000
    assert max(edge["backlog_packets"] for edge in found) > 10
    sent = [edge["sent_bytes"] for edge in found]
    assert sent == sorted(sent)
    assert len(set(sent)) > 4
    rtts = [row[1] for _, row in flow(tmp_path, 0, 1)[1]]
    assert max(rtts) > 30_000, "the round trip grows with what waits"


@pytest.mark.timing
def test_ten_samples_a_second_of_what_changes_and_one_of_all_else(tmp_path):
    with up(network("fully_connected", 4, shape(delay="5ms", rate="50mbit"))) as net, Sampler(net, tmp_path):
        transfer(net, 4)
    found = lines(tmp_path, "links.jsonl")
    full = [line for line in found if len(line["edges"]) == len(net.plan.edges)]
    seconds = found[-1]["time"] - found[0]["time"]
    assert 4 < seconds < 12
    assert len(full) == pytest.approx(seconds, abs=3.5)
    busy = [line for line in found if any((edge["src"], edge["dst"]) == (0, 1) for edge in line["edges"])]
    assert len(busy) > 30
    samples = [at for at, _ in flow(tmp_path, 0, 1)[1]]
    gaps = sorted(later - earlier for earlier, later in pairwise(samples))
    assert gaps[len(gaps) // 2] == pytest.approx(0.1, abs=0.02)


def test_a_connection_that_is_opened_later_and_one_within_a_node(tmp_path):
    within = (
        "import socket\na = socket.create_server(('127.0.0.1', 7000))\nb = socket.create_connection(a.getsockname())\n"
    )
    within += "c, _ = a.accept()\nfor _ in range(20): b.send(b'x'); c.recv(1); import time; time.sleep(0.05)"
    with up(network("line", 3, shape(delay="1ms"))) as net, Sampler(net, tmp_path):
        run(net, 0, sys.executable, "-c", within)
        transfer(net, 0.5)
        transfer(net, 0.5, src=2, dst=0)
    begun = [(line["src"], line["dst"]) for line in lines(tmp_path, "flows.jsonl") if line["kind"] == "flow"]
    assert sorted(begun) == [(0, 1), (0, 2), (1, 0), (2, 0)]
    assert len([line for line in lines(tmp_path, "flows.jsonl") if line["kind"] == "end"]) == 4


def test_a_network_that_goes_down_ends_the_sampler_quietly(tmp_path):
    with up(network("line", 2, shape(delay="1ms"))) as net:
        sampler = Sampler(net, tmp_path)
        sampler.start()
        process = pid_of(sampler)
        net.down()
        wait_for(lambda: start_time(process) is None)
        assert sampler.stop() == []
    assert lines(tmp_path, "links.jsonl")


def pid_of(sampler):
    return sampler._sampling._process.pid


SAMPLES_FOR_EVER = """
import sys, time
from pathlib import Path
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from harness.networks.sampler import Sampler
registry = LocalRegistry(Path(sys.argv[1]))
sampler = Sampler(Network(registry.load(sys.argv[2]), registry), Path(sys.argv[3]))
sampler.start()
print(sampler._sampling._process.pid, flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_it_where_its_parent_is_killed(tmp_path, number):
    name = own("orphan")
    with up(network("line", 2), name, tmp_path / "state"):
        argv = [sys.executable, "-c", SAMPLES_FOR_EVER, str(tmp_path / "state"), name, str(tmp_path)]
        parent = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with parent, contextlib.closing(parent.stdout):
            process = int(parent.stdout.readline())
            assert start_time(process) is not None
            parent.send_signal(number)
            parent.wait(10)
        wait_for(lambda: start_time(process) is None)


def test_a_shaper_daemon_that_is_killed_is_reported_and_its_counters_go_on(tmp_path):
    with up(network("line", 2, shape(delay="1ms"))) as net:
        if net.engine != "userspace":
            pytest.skip("netem has no daemon")
        with Sampler(net, tmp_path) as sampler:
            transfer(net, 0.5)
            for daemon in daemons(net):
                os.kill(daemon, signal.SIGKILL)
            said = []
            wait_for(lambda: said.extend(sampler.messages()) or said)
            transfer(net, 0.5)
        assert "the shaper daemon was killed by SIGKILL" in said[0]
    sent = [edge["sent_bytes"] for line in lines(tmp_path, "links.jsonl") for edge in line["edges"] if edge["dst"] == 1]
    assert sent == sorted(sent)
    assert sent[-1] > sent[len(sent) // 2] > 0


def daemons(net):
    keeper = net.backend.handle["keeper"]["pid"]
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return [int(pid) for pid in children if b"daemon.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_folder_that_is_not_there(tmp_path):
    from harness.errors import HarnessError

    with up(network("line", 2)) as net:
        sampler = Sampler(net, tmp_path / "nowhere")
        with pytest.raises(HarnessError, match=r"links and flows cannot be recorded: .*nowhere/links\.jsonl"):
            sampler.start()
        assert sampler.stop() == []
