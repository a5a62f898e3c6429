"""An uplink that edges share, and what waits in front of a rate: in the kernel's qdiscs, by what they count."""

import contextlib
import subprocess
import time
from dataclasses import replace

import pytest

from harness.backends.base import Stdio
from harness.model.capacity import NO_CAPS, Capacity, NodeShape
from harness.model.queueing import DISCIPLINES, Queue
from harness.model.units import Rate, Size
from tests.support.bulk_flows import jain, wire_rates
from tests.support.live import network, paced_flow, ping, run, up
from tests.support.plans import shape

pytestmark = [pytest.mark.netem, pytest.mark.namespaces]
FLOOD = """
import socket, sys, time
host, size = sys.argv[1], int(sys.argv[2])
flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for _ in range(20):
        flow.sendto(bytes(size), (host, 9))
    time.sleep(0.005)
"""
SMALL = 60
"""Bytes of payload."""


@contextlib.contextmanager
def flood(net, src, *targets, size=SMALL):
    """UDP packets to nodes, 20 every five milliseconds to each, while the block runs."""
    stdio = Stdio(subprocess.DEVNULL, subprocess.DEVNULL, None)
    programs = []
    for dst in targets:
        words = [net.backend.python, "-c", FLOOD, str(net.plan.addressing.ipv4(dst)), str(size)]
        programs.append(net.backend.spawn(src, words, stdio=stdio))
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def settled(read, enough):
    """What ``read`` returns once ``enough`` says that it is, or after a while."""
    deadline = time.monotonic() + 20
    while not enough(found := read()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def limited(uplink):
    """Changes node 0's uplink."""
    return lambda plan: plan.with_nodes({0: NodeShape(uplink=uplink) if uplink else NO_CAPS})


def reshaped(net, **texts):
    """Changes the edge 0->1."""
    net.reshape(lambda plan: plan.changed([replace(plan.edge(0, 1), shape=shape(**texts))]))


def uplink(net):
    return net.observe([0])[0].caps["uplink"]


@pytest.mark.full  # on netem too, tests/live/test_shared_capacity.py
@pytest.mark.timing
def test_three_peers_share_an_uplink_fairly():
    cap = Capacity(Rate.parse("20mbit"))
    plan = limited(cap)(network("star", 4, shape(delay="10ms"), e02=shape(delay="10ms", rate="100mbit")))
    with up(plan) as net:
        rates = wire_rates(net, [(0, 1), (0, 2), (0, 3)], skip=3.0, seconds=4.0)
        assert 0.95 * 20 <= sum(rates) <= 1.005 * 20, rates
        assert jain(rates) > 0.98, rates
        assert uplink(net).applied == cap
        assert uplink(net).stats.sent_bytes > 8e6


def test_what_waits_for_an_uplink_waits_in_its_own_queues_which_bound_it_in_bytes():
    """Whatever netem lets go: each time that htb asks for a packet, netem hands on all that are due."""
    cap = Capacity(Rate.parse("400kbit"), buffer=Size(60_000))
    with up(limited(cap)(network("star", 3, shape(delay="20ms"), e02=shape(delay="1ms")))) as net:
        frame, room = SMALL + 28 + 14, 2 * cap.flow_bytes(2)
        with flood(net, 0, 1, 2):
            told = settled(
                lambda: net.observe([0])[0], lambda told: told.caps["uplink"].stats.backlog_bytes >= room - 4 * frame
            )
        full = told.caps["uplink"].stats
        assert room - 4 * frame <= full.backlog_bytes <= room
        assert full.backlog_packets == full.backlog_bytes // frame
        assert full.dropped > 0
        for edge in told.edges.values():
            assert edge.stats.dropped == 0, "the uplink's"
            assert edge.stats.backlog_bytes < 200 * frame, "in flight, or due since htb asked last"


def test_an_uplink_of_every_queue_comes_changes_and_goes_while_packets_cross():
    with up(network("star", 3, shape(delay="5ms"), e02=shape())) as net:
        with paced_flow(net, 0, 1, 600, 0.01) as received:
            for kind in DISCIPLINES:
                first = Capacity(Rate.parse("4mbit"), Queue.of(kind), overhead=24)
                net.reshape(limited(first))
                assert uplink(net).applied == first
                assert not net.observe([0])[0].cap_mismatches
                net.reshape(limited(replace(first, rate=Rate.parse("3mbit"))))
                assert uplink(net).applied.rate == Rate.parse("3mbit")
                net.reshape(limited(None))
                assert "uplink" not in net.observe([0])[0].caps
        assert received == [600, 600]
        sent = net.applied()[0, 1].stats.sent_packets
        assert ping(net, 0, 2, count=3)[0] == 0
        assert net.applied()[0, 1].stats.sent_packets == sent, "the other edge's"


@pytest.mark.parametrize("size", [SMALL, 1472])
def test_a_buffer_of_so_many_bytes_holds_so_many_bytes_of_packets_of_any_size(size):
    with up(network("line", 2, shape(rate="400kbit", delay="20ms", buffer="64KiB"))) as net:
        with flood(net, 0, 1, size=size):
            settled(lambda: net.applied()[0, 1].stats, lambda stats: stats.dropped > 100)
        time.sleep(0.1)  # what was in flight has come to the queue
        full = net.applied()[0, 1].stats
        assert 65536 - 0.3 * 50_000 <= full.backlog_bytes <= 65536


@pytest.mark.timing
def test_codel_keeps_the_standing_delay_short_and_marks_where_tcp_asks_for_it():
    """A bulk flow at 10 Mbit/s and 20 ms. Beside it droptail of one second."""
    plan = replace(network("line", 2, shape(rate="10mbit", delay="10ms", buffer="1s")), ecn=True)
    with up(plan) as net:
        waits = {}
        for queue in ("none", "codel,ecn=no", "codel"):
            reshaped(net, rate="10mbit", delay="10ms", queue=queue, **({"buffer": "1s"} if queue == "none" else {}))
            before = net.applied()[0, 1].stats.dropped
            with bulk(net):
                time.sleep(4)
                lost, _, mean = ping(net, 0, 1, count=30)
            waits[queue] = mean - 20
            dropped = net.applied()[0, 1].stats.dropped - before
            if queue == "codel":
                assert dropped <= lost + 1, "of pings, which ask for no ECN; ping sends one that it does not count"
        assert waits["none"] > 100, waits
        assert max(waits["codel,ecn=no"], waits["codel"]) < waits["none"] / 5, waits


@contextlib.contextmanager
def bulk(net):
    """A TCP connection from node 0 to node 1 that sends as much as it can while the block runs."""
    host = str(net.plan.addressing.ipv4(1))
    serve = (
        "import socket; s = socket.create_server(('', 5202)); print('ready', flush=True); c = s.accept()[0]\n"
        "while c.recv(1 << 16): pass"
    )
    send = f"import socket; c = socket.create_connection(({host!r}, 5202))\nwhile True: c.sendall(bytes(1 << 16))"
    programs = []
    try:
        for rank, program in ((1, serve), (0, send)):
            stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, None)
            programs.append(net.backend.spawn(rank, [net.backend.python, "-c", program], stdio=stdio))
            if rank == 1:
                assert programs[0].stdout.readline() == b"ready\n"
        yield
    finally:
        for program in reversed(programs):
            program.kill()
            program.wait()


@pytest.mark.parametrize("overhead", ["0", "100", "-40"])
def test_a_rate_counts_the_overhead_of_every_frame(overhead):
    with up(network("line", 2, shape(rate="80kbit", overhead=overhead))) as net:
        ping(net, 0, 1, count=1)
        words = ["ping", "-n", "-q", "-U", "-s", "958", "-c", "4", "-i", "0.3", str(net.plan.addressing.ipv4(1))]
        trip = float(run(net, 0, *words).split(" = ")[1].split("/")[1])
    assert trip == pytest.approx(2 * (1000 + int(overhead)) * 8 / 80, rel=0.15), "both directions"


@pytest.mark.parametrize("overhead", ["0", "100"])
def test_a_bucket_counts_the_overhead_of_every_frame(overhead):
    """When its queue is full: how much leaves in how long."""
    with up(network("line", 2, shape(rate="400kbit", buffer="64KiB", overhead=overhead))) as net, flood(net, 0, 1):
        settled(lambda: net.applied()[0, 1].stats, lambda stats: stats.dropped > 100)
        sent, begin = net.applied()[0, 1].stats.sent_packets, time.monotonic()
        time.sleep(2)
        rate = (net.applied()[0, 1].stats.sent_packets - sent) / (time.monotonic() - begin)
    most = 50_000 / (SMALL + 28 + 14 + int(overhead))
    assert 0.8 * most < rate < 1.08 * most, "a busy machine wakes up late, and a bucket makes up for 1 ms"
