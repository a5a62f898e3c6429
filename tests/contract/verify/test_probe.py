"""Real probes over the loopback: their protocol, and the driver around them."""

import json
import socket
import subprocess
import sys
import time
from ipaddress import IPv4Network

import pytest

from harness.errors import NodeError
from harness.model.address import Addressing
from harness.model.link import UNSHAPED, LinkShape
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.units import Rate
from harness.verify.driver import ProbeDriver
from harness.verify.plan import probe_for
from harness.verify.probe_client import PROBE_ARGV, ProbeClient
from harness.verify.samples import BulkSample, Direction
from harness.verify.stats import bulk_rate
from harness.verify.steps import EdgeSteps
from harness.verify.verdict import judge
from tests.support.plans import BLACKHOLE

pytestmark = pytest.mark.timing
MS = 10**6


def spawn(*_):
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *PROBE_ARGV], stdin=pipe, stdout=pipe)


def have_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request):
    if request.param == "::1" and not have_ipv6():
        pytest.skip("this machine has no IPv6")
    probes = [ProbeClient(rank, spawn()) for rank in range(2)]
    try:
        for probe in probes:
            probe.open(request.param)
        yield probes
    finally:
        for probe in probes:
            probe.close()


def test_an_echo_gives_both_delays_of_every_packet(pair):
    a, b = pair
    answer = a.ask(
        1, op="echo", peer=b.address, port=b.port, job=1, count=30, interval_ns=2 * MS, wait_ns=500 * MS, end_ns=10**10
    )
    assert answer["sent"] == 30
    assert answer["warm"]
    assert [sample[0] for sample in answer["samples"]] == list(range(30))
    for _, sent, turned, returned, arrived in answer["samples"]:
        assert sent < turned <= returned < arrived
    starts = [sample[1] for sample in answer["samples"]]
    assert (starts[-1] - starts[0]) / 29 == pytest.approx(2 * MS, rel=0.5)
    assert len(answer["local"]) == 20
    assert all(late > 0 for late in answer["late"])


def test_an_echo_with_nobody_there_ends(pair):
    a, b = pair
    b.close()
    start = time.monotonic()
    answer = a.ask(
        1, op="echo", peer=b.address, port=b.port, job=1, count=5, interval_ns=MS, wait_ns=100 * MS, end_ns=10**9
    )
    assert answer["samples"] == []
    assert not answer["warm"]
    assert time.monotonic() - start < 10


@pytest.mark.alone
def test_trains_both_ways_at_once(pair):
    a, b = pair
    request = {"op": "train", "count": 500, "interval_ns": 100_000, "end_ns": 10**10}
    a.start({**request, "job": 7, "peer": b.address, "port": b.port})
    b.start({**request, "job": 8, "peer": a.address, "port": a.port})
    assert a.finish(1, "train")["sent"] == b.finish(1, "train")["sent"] == 500
    for probe, job in ((b, 7), (a, 8)):
        answer = probe.ask(1, op="collect", job=job, expect=500, wait_ns=500 * MS)
        assert answer == {"ok": True, "received": 500, "duplicates": 0, "overtakers": 0}


def test_a_train_stops_when_its_time_is_up(pair):
    a, b = pair
    sent = a.ask(1, op="train", peer=b.address, port=b.port, job=1, count=10**6, interval_ns=MS, end_ns=50 * MS)["sent"]
    assert 1 <= sent <= 51


def test_packets_that_never_come_are_missed_after_the_wait(pair):
    _, b = pair
    answer = b.ask(1, op="collect", job=99, expect=10, wait_ns=50 * MS)
    assert answer["received"] == 0


@pytest.mark.alone
@pytest.mark.parametrize(("kernel", "one_in"), [(True, 1), (False, 1), (False, 8)])
def test_a_bulk_train_paced_at_a_rate_is_measured_at_it(pair, kernel, one_in):
    a, b = pair
    segments, bursts, interval = 8, 250, 2 * MS
    b.ask(0, op="sample", one_in=one_in)
    left = a.ask(
        1,
        op="bulk",
        peer=b.address,
        port=b.bulk_port,
        job=3,
        bursts=bursts,
        segments=segments,
        interval_ns=interval,
        end_ns=10**10,
    )
    there = b.ask(1, op="bulked", job=3, expect_bytes=left["wire_bytes"], wait_ns=500 * MS, kernel=kernel)
    trial = (
        2 * 1514
    )  # the sender tries super-packets with it; a sampled receiver counts it although it belongs to no job
    assert left["wire_bytes"] == bursts * left["segments"] * 1514
    assert 0 <= there["wire_bytes"] - left["wire_bytes"] <= (trial if one_in > 1 else 0)
    points = tuple((at / 1e9, size) for at, size in there["points"])
    sample = BulkSample(left["wire_bytes"], left["elapsed_ns"] / 1e9, there["wire_bytes"], points)
    assert bulk_rate(sample).bit_s == pytest.approx(left["segments"] * 1514 * 8 / 0.002, rel=0.25)
    assert there["ends"][-1][1] - there["ends"][0][1] == pytest.approx(left["wire_bytes"], rel=0.05)
    if one_in > 1:
        assert 0 < there["reads"] < bursts * left["segments"] / one_in * 1.5


def test_a_load_goes_to_several_peers_each_at_its_own_pace(pair):
    a, b = pair
    peers = [(b.address, b.bulk_port, 5, 4 * MS), (a.address, a.bulk_port, 6, 8 * MS)]
    left = a.ask(1, op="load", flows=peers, segments=2, length_ns=800 * MS)
    assert left["wire_bytes"][0] == pytest.approx(2 * left["wire_bytes"][1], rel=0.1)
    assert left["elapsed_ns"] == pytest.approx(800 * MS, rel=0.1)
    assert left["late"]
    for target, job, sent in ((b, 5, left["wire_bytes"][0]), (a, 6, left["wire_bytes"][1])):
        there = target.ask(1, op="bulked", job=job, expect_bytes=sent, wait_ns=500 * MS, kernel=False)
        assert there["wire_bytes"] == sent
    assert left["wire_bytes"][0] == pytest.approx(200 * 2 * 1514, rel=0.2)


def test_sampling_ends(pair):
    a, b = pair
    b.ask(0, op="sample", one_in=64)
    b.ask(0, op="sample", one_in=1)
    train = {"op": "bulk", "peer": b.address, "port": b.bulk_port, "bursts": 20, "segments": 1, "interval_ns": MS}
    a.ask(1, **train, job=4, end_ns=10**10)
    there = b.ask(1, op="bulked", job=4, expect_bytes=20 * 1514, wait_ns=500 * MS, kernel=False)
    assert there["reads"] == 20
    assert there["wire_bytes"] == 20 * 1514


def test_a_probe_refuses_invalid_requests_and_goes_on(pair):
    a, _ = pair
    for request in ({"op": "main"}, {"op": "_require"}, {"op": "train"}, {"op": "collect", "job": "x"}):
        with pytest.raises(NodeError, match="node 0: probe"):
            a.ask(1, **request)
    assert a.ask(1, op="collect", job=1, expect=0, wait_ns=0)["received"] == 0


def test_a_probe_needs_open_first_and_ends_with_its_input():
    process = spawn()
    out, _ = process.communicate(
        json.dumps({"op": "collect", "job": 1, "expect": 0, "wait_ns": 0}).encode() + b"\nnonsense\n", 10
    )
    assert b"first request must be open" in out
    assert process.returncode == 0


def test_a_probe_that_dies_is_named(pair):
    a, _ = pair
    a._process.kill()
    with pytest.raises(NodeError, match=r"node 0: probe collect: the probe ended with code -9"):
        a.ask(1, op="collect", job=1, expect=0, wait_ns=0)


def test_a_probe_that_hangs_is_named(monkeypatch):
    monkeypatch.setattr("harness.verify.probe_client.PATIENCE_S", 0.1)
    pipe = subprocess.PIPE
    probe = ProbeClient(3, subprocess.Popen(["sleep", "60"], stdin=pipe, stdout=pipe))
    try:
        with pytest.raises(NodeError, match="node 3: probe open: the probe did not answer"):
            probe.open("127.0.0.1")
    finally:
        probe.close()
    assert probe._process.poll() == -9


def network(size, shape):
    """A line of nodes on the loopback: 127.7.0.1, 127.7.0.2, ..."""
    pairs = [way for a in range(size - 1) for way in ((a, a + 1), (a + 1, a))]
    edges = {way: PlannedEdge(*way, shape) for way in pairs}
    return NetworkPlan("line", "none", 0, size, edges, {}, Addressing(IPv4Network("127.7.0.0/24")))


@pytest.mark.alone
def test_the_driver_measures_every_edge_and_leaves_no_probe():
    plan, processes, reported = network(4, UNSHAPED), [], []

    def start(rank):
        processes.append(spawn())
        return processes[-1]

    with ProbeDriver(plan, start, seconds=0.5) as driver:
        seen = list(driver.measure(progress=lambda *step: reported.append(step)))
    assert sorted(edge.pair for edge in seen) == [(0, 1), (1, 2), (2, 3)]
    assert [step[:2] for step in reported] == [(done, 9) for done in range(1, 10)]
    assert len(processes) == 4
    assert [process.poll() for process in processes] == [0] * 4
    for edge in seen:
        assert len(edge.echoes) == edge.echoes_sent >= 20
        assert edge.forward.train.loss == edge.backward.train.loss == 0
        assert edge.backward.bulk.received_bytes > 0
        a, b = edge.pair
        verdicts = judge(plan.edge(a, b), plan.edge(b, a), UNSHAPED, UNSHAPED, edge)
        assert {row.quantity for row in verdicts} == {"rtt", "jitter", "loss", "rate"}


def test_a_link_without_its_rate_is_off():
    shape = LinkShape(rate=Rate.parse("20mbit"))
    plan = network(2, shape)
    with ProbeDriver(plan, lambda rank: spawn(), seconds=0.5) as driver:
        (seen,) = driver.measure()
    row = next(row for row in judge(plan.edge(0, 1), plan.edge(1, 0), shape, shape, seen) if row.quantity == "rate")
    assert not row.ok
    assert row.note == "the link is faster than its rate"


def test_a_link_too_slow_for_the_time_is_left_out_and_marked():
    shape = LinkShape(rate=Rate.parse("1kbit"))
    plan, start = network(2, shape), time.monotonic()
    with ProbeDriver(plan, lambda rank: spawn(), seconds=0.5) as driver:
        (seen,) = driver.measure()
    assert time.monotonic() - start < 5
    assert seen.echo_left_out
    assert seen.forward.left_out == seen.backward.left_out == ("train", "bulk")
    verdicts = judge(plan.edge(0, 1), plan.edge(1, 0), shape, shape, seen)
    assert len(verdicts) == 8
    assert not any(row.ok for row in verdicts), "of this link nothing is known"
    assert all(row.why_not and row.measured is None for row in verdicts)


def test_a_link_that_is_down_is_not_left_out():
    plan = network(2, BLACKHOLE)
    with ProbeDriver(plan, lambda rank: spawn(), seconds=0.5) as driver:
        (seen,) = driver.measure()
    assert not seen.echo_left_out
    assert seen.forward.left_out == seen.backward.left_out == ()


@pytest.mark.parametrize(
    ("planned", "speeds", "taken"),
    [
        ("1gbit", [1.0], 1.0),
        ("1gbit", [0.5, 1.0], 1.0),  # twice the rate choked the machine
        ("1gbit", [0.5, 0.4], 0.5),
        ("20mbit", [0.5], 0.5),  # that chokes no machine
    ],
)
def test_a_fast_link_that_seems_slow_gets_a_gentler_train(monkeypatch, planned, speeds, taken):
    rate, left, asked = Rate.parse(planned), list(speeds), []

    def bulk_once(self, source, target, bulk):
        asked.append(bulk.rate_bit_s / rate.bit_s)
        step = 1514 * 8 / (left.pop(0) * rate.bit_s)
        return BulkSample(1514 * 100, 1, 1514 * 100, tuple((i * step, 1514 * i) for i in range(1, 101)))

    monkeypatch.setattr(EdgeSteps, "_bulk_once", bulk_once)
    shape = LinkShape(rate=rate)
    planned = probe_for((0, 1), shape, shape, seconds=5, sharing=1, ipv6=False)
    steps = EdgeSteps(network(2, shape), kernel_stamps=True)
    sample = steps._bulk(None, None, planned.forward_bulk, Direction()).bulk
    assert bulk_rate(sample).bit_s == pytest.approx(taken * rate.bit_s, rel=0.01)
    assert asked == pytest.approx([2, 1.2][: len(speeds)])


def test_the_driver_cleans_up_when_a_probe_dies():
    processes = []

    def start(rank):
        processes.append(spawn())
        if rank == 1:
            processes[-1].kill()
        return processes[-1]

    with pytest.raises(NodeError, match="node 1"), ProbeDriver(network(3, UNSHAPED), start, seconds=0.5) as driver:
        list(driver.measure())
    assert all(process.poll() is not None for process in processes)
