"""Networks with shaped links, as traffic meets them: of namespaces or of containers."""

import itertools
import os
import sys
import threading
import time
from dataclasses import replace

import pytest

from harness.errors import NetworkStateError, NodeError
from harness.linux.congestion_control import DEFAULT
from harness.model.link import UNSHAPED
from harness.networks.backends import NETNS
from harness.networks.network import Network
from harness.verify.verification import verify
from tests.support.cli import processes, wait_for
from tests.support.live import (
    addressing,
    bulk_flow,
    needs,
    network,
    on_any_engine,
    own,
    paced_flow,
    ping,
    registry,
    run,
    run_as_root,
    runtime_name,
    up,
)
from tests.support.plans import shape

pytestmark = [*needs(), pytest.mark.timing, pytest.mark.engine]
SLACK = 2
"""Milliseconds that the machine may add to a round trip."""
EARLY = 0.6
"""By so much the best packet of some may come early: links in user space let go up to 0.15 ms early at each of four."""


def changed(plan, pairs, **texts):
    new = shape(**texts)
    return plan.changed([replace(plan.edge(*pair), shape=new) for pair in pairs])


def assert_costs(net, a, b, expected, *, version=4, slack=SLACK):
    """The best round trip of ten, in ms; measured once more where it is off, as verify does: the machine stalls."""
    for _ in range(2):
        lost, least, _ = ping(net, a, b, version=version)
        if lost == 0 and expected - EARLY <= least < expected + slack:
            return
    raise AssertionError(f"{a}-{b}: {lost} lost, {least} ms where {expected} to {expected + slack} were due")


@pytest.mark.backend
def test_a_packet_pays_the_delay_of_its_edge_each_way():
    plan = network("fully_connected", 3, e01=shape(delay="10ms"), e02=shape(delay="40ms"), e12=shape(delay="5ms"))
    with up(plan) as net:
        for version in (4, 6):
            for a, b, expected in ((0, 1, 20), (0, 2, 80), (1, 2, 10)):
                assert_costs(net, a, b, expected, version=version)


@pytest.mark.backend
def test_non_neighbours_share_the_links_between():
    ring = network(
        "ring", 4, e01=shape(delay="5ms"), e12=shape(delay="10ms"), e23=shape(delay="15ms"), e03=shape(delay="20ms")
    )
    with up(ring) as net:
        for version, (a, b) in itertools.product((4, 6), ((0, 2), (1, 3))):
            expected = 2 * sum(edge.shape.delay.ns for edge in ring.path(a, b)) / 1e6
            for _ in range(2):  # a redirect would let later packets take the short cut
                assert_costs(net, a, b, expected, version=version, slack=2 * SLACK)


def test_neighbour_discovery_is_no_part_of_a_link():
    """Where there is any: nodes in namespaces have none until somebody asks for it."""
    with up(network("line", 2, shape(delay="400ms"))) as net:
        net.reshape(lambda plan: changed(plan, [(0, 1), (1, 0)], delay="400ms", loss="100%"))
        for rank in (0, 1):
            run_as_root(net, rank, "ip", "link", "set", "eth0", "arp", "on")
            run_as_root(net, rank, "ip", "-6", "neigh", "flush", "nud", "all", "dev", "eth0")
        other = str(net.plan.addressing.ipv6(1))
        assert "lladdr" not in run(net, 0, "ip", "-6", "neigh", "show", other)
        run(net, 0, "ping", "-c", "1", "-W", "1", other, check=False)
        wait_for(lambda: "lladdr" in run(net, 0, "ip", "-6", "neigh", "show", other), 5)


def test_only_one_direction_is_slow_where_only_one_was_asked_for():
    plan = network("line", 2)
    plan = plan.changed([replace(plan.edge(0, 1), shape=shape(delay="30ms"))])
    with up(plan) as net:
        assert_costs(net, 0, 1, 30)
        assert_costs(net, 1, 0, 30)


@pytest.mark.backend
def test_a_reshape_loses_and_overtakes_nothing():
    plan = network("line", 2, shape(delay="50ms", rate="50mbit"))
    with up(plan) as net, paced_flow(net, 0, 1, count=1500, gap=0.004) as flow:
        shapes = [
            {"delay": "80ms", "rate": "20mbit"},
            {"delay": "20ms", "rate": "30mbit"},
            {"delay": "60ms", "rate": "10mbit", "burst": "32KiB"},
            {"delay": "60ms", "rate": "40mbit", "jitter": "6ms"},
            {"delay": "40ms", "rate": "50mbit", "jitter": "4ms", "distribution": "normal"},
            {},
            {"delay": "50ms", "rate": "50mbit"},
        ]
        pause = threading.Event()
        for texts in shapes:
            pause.wait(0.6)
            net.reshape(lambda plan, texts=texts: changed(plan, [(0, 1), (1, 0)], **texts))
    distinct, everything = flow
    assert distinct == everything == 1500


@pytest.mark.backend
def test_a_raised_rate_drains_what_waits_or_the_reshape_tells_for_how_long_not():
    """32 full frames wait at 128 kbit/s, for 3 s."""
    burst = "import socket; s = socket.socket(type=2); [s.sendto(bytes(1400), ('{}', 9)) for _ in range(50)]"
    with up(network("line", 2, shape(rate="128kbit", delay="5ms"))) as net:
        ping(net, 0, 1, count=2)
        run(net, 0, net.backend.python, "-c", burst.format(net.plan.addressing.ipv4(1)))
        done = net.reshape(lambda plan: changed(plan, [(0, 1), (1, 0)], rate="100mbit", delay="5ms"))
        if net.backend.engine.fixes_departures:
            assert done.old_rate_s.keys() == {(0, 1)}
            assert 1 < done.old_rate_s[0, 1] < 3.5
            time.sleep(done.old_rate_s[0, 1])
        else:
            assert not done.old_rate_s
        assert_costs(net, 0, 1, 10)


@pytest.mark.backend
def test_another_queue_loses_and_overtakes_nothing():
    """A packet of 142 bytes every 4 ms never waits at 10 Mbit/s, whatever the queue and however small."""
    plan = network("line", 2, shape(delay="30ms", rate="10mbit"))
    with up(plan) as net, paced_flow(net, 0, 1, count=1000, gap=0.004) as flow:
        queues = ({"queue": "codel"}, {"queue": "fq_codel", "buffer": "50ms"}, {"buffer": "20ms"}, {"overhead": "24"})
        for texts in queues:
            time.sleep(0.6)
            net.reshape(lambda plan, texts=texts: changed(plan, [(0, 1)], delay="30ms", rate="10mbit", **texts))
    assert flow == [1000, 1000]


@pytest.mark.backend
def test_small_packets_far_below_the_rate_all_arrive():
    """704 packets of 142 bytes a second are 0.8 of 1 Mbit/s; 140 of them are in flight at any time."""
    with (
        up(network("line", 2, shape(rate="1mbit", delay="200ms"))) as net,
        paced_flow(net, 0, 1, count=1400, gap=1 / 704) as flow,
    ):
        pass
    # Where the machine stalls for longer than the queue lasts, what has waited comes at once, and some of it is lost.
    assert flow[0] == flow[1] >= 1370


@pytest.mark.backend
def test_verify_measures_again_what_another_command_changed_and_its_packets_count_apart():
    reshaped, said = [], []

    def progress(*_):
        if not reshaped:
            records = registry()
            record = records.load(net.name)
            assert record is not None
            other = Network(record, records)
            reshaped.append(other.reshape(lambda plan: changed(plan, [(0, 1)], delay="20ms", rate="20mbit")))

    with up(network("line", 2, shape(delay="5ms", rate="20mbit"))) as net:
        rows = verify(net, [(0, 1)], progress, said.extend, seconds=1, parallel=1)
        stats, probed = net.applied()[0, 1].stats, net.probed()[0, 1]
    assert {row.why_not for row in said} == {"changed"}
    assert [row for row in rows if not row.ok and row.quantity != "jitter"] == []  # other tests run beside this one
    assert rows[0].requested == pytest.approx(0.025)
    assert probed.sent_packets > 1000
    assert stats.dropped == probed.dropped
    assert 0 <= stats.sent_packets - probed.sent_packets < 10


@on_any_engine
def test_nothing_measured_is_no_good_verdict():
    with up(network("line", 2, shape(rate="500bit"))) as net:
        rows = verify(net, [(0, 1)], lambda *_: None, pytest.fail, seconds=1, parallel=1)
    assert {(row.ok, row.measured, row.why_not) for row in rows} == {(False, None, "too slow")}


@on_any_engine
@pytest.mark.parametrize("mtu", [1280, 9000])
def test_the_mtu_is_that_of_the_plan(mtu):
    """The largest packet passes whole over two hops, by both versions of IP, and one byte more does not."""
    plan = replace(network("line", 3, shape(delay="1ms")), mtu=mtu)
    with up(plan) as net:
        for version, headers in ((4, 28), (6, 48)):
            address = str(net.plan.addressing.address(2, version))
            whole = ["ping", f"-{version}", "-M", "do", "-c", "3", "-i", "0.2", "-W", "2", "-s"]
            assert " 0% packet loss" in run(net, 0, *whole, str(mtu - headers), address)
            assert "essage too long" in run(net, 0, *whole, str(mtu - headers + 1), address, check=False)


@on_any_engine
@pytest.mark.backend
@pytest.mark.parametrize("asks", [False, True])
def test_tcp_asks_for_ecn_where_the_plan_says_so(asks):
    """Over two hops, by both versions of IP."""
    with up(replace(network("line", 3, shape(delay="1ms")), ecn=asks)) as net:
        for version in (4, 6):
            with bulk_flow(net, 0, 2, 0, version=version) as told:
                pass
            assert told["ecn"] == asks


CHOOSES = """
import os, socket, time
if os.environ["RANK"] == "1":
    server = socket.create_server(("0.0.0.0", 5003))
    for _ in range(2):
        server.accept()
else:
    time.sleep(1)
    for chosen in (b"", b"reno"):
        with socket.socket() as sock:
            if chosen:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, chosen)
            sock.connect((PEER, 5003))
            print(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).strip(bytes(1)).decode(), flush=True)
"""


@on_any_engine
@pytest.mark.backend
def test_a_program_s_own_choice_of_congestion_control_holds(harness):
    """As iperf3 -C makes it, before it connects; where nodes have the host's own, no route replaces it."""
    addresses = addressing()
    subnets = ("--subnet", str(addresses.ipv4_net), "--subnet6", str(addresses.ipv6_net))
    program = CHOOSES.replace("PEER", repr(str(addresses.ipv4(1))))
    python = sys.executable if runtime_name() == NETNS else "python3"
    words = ("--runtime", runtime_name(), "--name", own("choice"), "--congestion-control", DEFAULT.read_text().strip())
    done = harness("run", "-n", "2", "-p", "none", *words, *subnets, "--", python, "-c", program)
    assert done.stdout.splitlines() == [f"[0] {DEFAULT.read_text().strip()}", "[0] reno"]


@on_any_engine
def test_an_interface_with_a_larger_mtu_loses_nothing():
    """The bridge drops frames over 1514 bytes without a word, so routes keep packets to 1500."""
    with up(network("line", 2, shape(delay="1ms"))) as net:
        for rank in (0, 1):
            run(net, rank, "ip", "link", "set", "eth0", "mtu", "9000")
        for version in ("-4", "-6"):
            address = net.plan.addressing.address(1, int(version[1]))
            said = run(net, 0, "ping", version, "-c", "3", "-i", "0.2", "-W", "2", "-s", "4000", str(address))
            assert " 0% packet loss" in said


def test_a_link_that_is_down_carries_nothing_until_it_is_up():
    plan = network("line", 2, shape(delay="1ms"))
    with up(plan) as net:
        net.reshape(lambda p: p.changed([replace(p.edge(0, 1), down=True)]))
        assert ping(net, 0, 1, count=3, patience=1)[0] == 3
        net.reshape(lambda p: p.changed([replace(p.edge(0, 1), down=False)]))
        assert ping(net, 0, 1, count=3)[0] == 0


@pytest.mark.backend
def test_an_unshaped_network_gets_shaped_and_unshaped_while_it_runs():
    with up(network("ring", 3)) as net:
        assert all(edge.applied.is_unshaped for edge in net.applied().values())
        assert_costs(net, 0, 1, 0)
        done = net.reshape(lambda p: changed(p, [(0, 1), (1, 0)], delay="20ms", rate="10mbit"))
        assert done.segments_cut
        assert_costs(net, 0, 1, 40)
        assert_costs(net, 0, 2, 0)
        net.reshape(lambda p: p.changed([replace(p.edge(*pair), shape=UNSHAPED) for pair in ((0, 1), (1, 0))]))
        assert_costs(net, 0, 1, 0)


@pytest.mark.backend
def test_one_node_that_refuses_rolls_the_others_back():
    plan = network("ring", 4, shape(delay="10ms"))
    with up(plan) as net:
        run_as_root(net, 2, "ip", "link", "del", "eth0")
        with pytest.raises(NodeError, match="node 2"):
            net.reshape(lambda p: changed(p, list(p.edges), delay="20ms"))
        assert net.plan == plan
        readings = net.observe([0, 1, 3])
        assert all(edge.applied.delay.ns == 10_000_000 for node in readings.values() for edge in node.edges.values())


FLOOD = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
    begin, number = time.monotonic(), 0
    while time.monotonic() < begin + 30:
        flow.sendto(bytes(1400), (sys.argv[1], 9))
        number += 1
        time.sleep(max(0.0, begin + number * 1442 * 8 / 10e6 - time.monotonic()))
"""
"""Full packets at 10 Mbit/s, which a busy machine sends too; one in two finds no room."""


@pytest.mark.alone
def test_what_waits_for_the_rate_waits_for_the_queues_time_and_no_longer():
    """However long the delay line is, and however small the packets on it may be, its room is not the queue's."""
    with up(network("line", 2, shape(delay="50ms", rate="5mbit"))) as net:
        sender = net.backend.spawn(0, [net.backend.python, "-c", FLOOD, str(net.plan.addressing.ipv4(1))])
        try:
            wait_for(lambda: net.applied()[0, 1].stats.dropped)
            lost, _, mean = ping(net, 0, 1, count=20, patience=1)
        finally:
            sender.kill()
            sender.wait(30)
        assert lost < 20
        assert 150 < mean < 240, "a round trip of 100 ms, and the 100 ms that full frames wait in a full queue"


def test_loss_is_per_packet_of_a_tcp_stream():
    with up(network("line", 2, shape(delay="1ms", rate="1gbit", loss="0.1%"))) as net:
        assert "gso_max_segs 1 " in run(net, 0, "ip", "-d", "link", "show", "eth0") + " "


@on_any_engine
@pytest.mark.backend
def test_several_networks_live_side_by_side(tmp_path):
    slow, fast = network("line", 2, shape(delay="30ms")), network("line", 2, shape(delay="5ms"), place=1)
    names = {own("slow"), own("fast")}
    with up(slow, own("slow"), tmp_path) as one, up(fast, own("fast"), tmp_path) as other:
        assert_costs(one, 0, 1, 60)
        assert_costs(other, 0, 1, 10)
        with pytest.raises(NetworkStateError, match="already up"), up(fast, own("slow"), tmp_path):
            pass
        assert ping(one, 0, 1)[0] == 0
        assert names <= set(registry(tmp_path).names())
    assert names.isdisjoint(registry(tmp_path).names())


def test_down_ends_what_runs_in_nodes():
    seconds = str(10_000_000 + os.getpid())
    with up(network("ring", 4, shape(delay="1ms"))) as net:
        sleeper = net.backend.spawn(1, ["sh", "-c", f"sleep {seconds} & sleep {seconds}"])
        wait_for(lambda: len(processes(f"sleep\0{seconds}")) == 2)
    assert sleeper.wait(30) == 137
    assert not processes(f"sleep\0{seconds}")
    assert net.name not in registry().names()
