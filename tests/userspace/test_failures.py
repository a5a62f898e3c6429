"""What happens to the process that makes links, and to the links meanwhile: they go down, and never become fast."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.backends.base import Stdio
from harness.shaping.userspace import supervisor
from tests.support.cli import HARNESS, processes, wait_for
from tests.support.live import paced_flow, ping, run, up
from tests.support.plans import network, shape
from tests.support.udp_flow import paced_flow as udp_flow

pytestmark = [pytest.mark.nfqueue, pytest.mark.namespaces, pytest.mark.timing]


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    monkeypatch.setattr("tests.support.live.engine_name", lambda: "userspace")


@contextlib.contextmanager
def slow_line(**more):
    """Two nodes with 30 ms between them."""
    with up(network("line", 2, shape(delay="30ms", **more))) as net:
        yield net


def holders(net):
    """The processes that make its links: children of the network's first one."""
    keeper = net.backend.handle["keeper"]["pid"]
    return [pid for pid in processes("userspace/daemon.py") if parent(pid) == keeper]


def parent(pid):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def started_with(variable):
    """Processes that make links whose environment has this."""
    found = []
    for pid in processes("userspace/daemon.py"):
        with contextlib.suppress(OSError):
            if variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def wound(net, number):
    """Send a signal to the shaper daemon; wait until another one does."""
    (first,) = holders(net)
    os.kill(first, number)
    wait_for(lambda: holders(net) not in ([], [first]), supervisor.STILL_SECONDS + 10)


def passes(net):
    return ping(net, 0, 1, count=2, patience=1)[0] == 0


def test_a_killed_process_is_started_again_with_the_same_links():
    with slow_line(rate="50mbit") as net:
        before = net.applied()
        wound(net, signal.SIGKILL)
        wait_for(lambda: passes(net))
        lost, least, _ = ping(net, 0, 1)
        assert (lost, least >= 60) == (0, True)
        assert {pair: edge.applied for pair, edge in net.applied().items()} == {
            pair: edge.applied for pair, edge in before.items()
        }
        for reading in net.observe().values():
            (text,) = reading.notes
            assert "was killed by SIGKILL, and was started again; for " in text
            assert not reading.mismatches


def test_counters_go_on_after_a_restart():
    with slow_line() as net:
        ping(net, 0, 1, count=20, interval=0.01)
        counted = net.applied()[0, 1].stats.sent_packets
        wound(net, signal.SIGKILL)
        assert net.applied()[0, 1].stats.sent_packets >= counted >= 20


def test_no_packet_is_fast_while_the_process_dies_again_and_again():
    with slow_line() as net:
        trips = []
        done = threading.Event()

        def kill():
            while not done.wait(0.05):
                for process in holders(net):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        address = str(net.plan.addressing.ipv4(1))
        try:
            text = run(net, 0, "ping", "-U", "-c", "150", "-i", "0.02", "-W", "1", address, check=False)
        finally:
            done.set()
            killer.join()
        trips = [float(line.partition("time=")[2].split()[0]) for line in text.splitlines() if "time=" in line]
        assert len(trips) < 150  # some were lost
        assert all(trip >= 60 for trip in trips), min(trips)
        wait_for(lambda: passes(net))
        assert any("SIGKILL" in note for note in net.observe()[0].notes)


def test_a_stopped_process_lets_nothing_pass_and_is_replaced():
    with slow_line() as net:
        (first,) = holders(net)
        os.kill(first, signal.SIGSTOP)
        address = str(net.plan.addressing.ipv4(1))
        text = run(net, 0, "ping", "-c", "4", "-i", "0.2", "-W", "1", address, check=False)
        assert " 0 received" in text
        wait_for(lambda: holders(net) not in ([], [first]), supervisor.STILL_SECONDS + 10)
        wait_for(lambda: passes(net))
        assert ping(net, 0, 1)[1] >= 60
        assert any("no sign of life" in note for note in net.observe()[0].notes)


def test_links_die_with_the_network():
    with slow_line() as net:
        (process,) = holders(net)
    wait_for(lambda: process not in processes("userspace/daemon.py"))


def test_a_change_while_packets_fly_loses_none():
    with slow_line() as net, paced_flow(net, 0, 1, count=1000, gap=0.002) as flow:
        pause = threading.Event()
        for delay in ("80ms", "5ms", "60ms", "1ms", "30ms"):
            pause.wait(0.3)
            net.reshape(
                lambda p, delay=delay: p.changed([type(e)(e.src, e.dst, shape(delay=delay)) for e in p.edges.values()])
            )
    assert flow == [1000, 1000]


@pytest.mark.alone
def test_a_flood_is_dropped_at_the_tail_and_every_drop_is_counted():
    packets = 60_000
    with slow_line(rate="2mbit") as net:  # so slow that half is dropped however slowly it is sent
        address = str(net.plan.addressing.ipv4(1))
        sender = "import socket,sys; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        sender += "for _ in range(int(sys.argv[2])): s.sendto(bytes(20), (sys.argv[1], 9))"
        started = time.monotonic()
        run(net, 0, "python3", "-c", sender, address, str(packets))
        wait_for(lambda: net.applied()[0, 1].stats.backlog_packets == 0)
        stats = net.applied()[0, 1].stats
        passed = 8 * stats.sent_bytes / (time.monotonic() - started)
        assert stats.dropped > packets // 2
        assert passed < 2.2e6
        arrived = run(net, 1, "sh", "-c", "cat /proc/net/snmp; cat /proc/net/dev")
        received = int(next(line for line in arrived.splitlines() if "eth0" in line).split()[2])
        assert stats.sent_packets + stats.dropped == pytest.approx(received, abs=20)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_duplicates_arrive_twice(family):
    with slow_line(duplicate="20%") as net:
        version = 4 if family == socket.AF_INET else 6
        address = str(net.plan.addressing.ipv4(1) if version == 4 else net.plan.addressing.ipv6(1))
        text = run(net, 0, "ping", "-U", "-c", "200", "-i", "0.01", address, check=False)
        doubles = text.count("DUP!")
        assert 40 <= doubles <= 160  # either way may double: some 80
        assert " 0% packet loss" in text


def test_a_relay_passes_on_both_copies():
    """They leave it with the source that they came with, which its own programs may not use."""
    with up(network("line", 3, shape(delay="1ms"), e01=shape(delay="1ms", duplicate="100%"))) as net:
        for target in (net.plan.addressing.ipv4(2), net.plan.addressing.ipv6(2)):
            text = run(net, 0, "ping", "-n", "-c", "4", "-i", "0.2", str(target))
            assert int(re.search(r"\+(\d+) duplicates", text)[1]) >= 6


def test_a_copy_leaves_in_time_though_its_packet_found_no_room():
    send = "import socket, sys; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', (sys.argv[1], 9))"
    with slow_line(duplicate="100%", limit=1) as net:
        run(net, 0, "python3", "-c", send, str(net.plan.addressing.ipv4(1)))
        wait_for(lambda: (stats := net.applied()[0, 1].stats).sent_packets == stats.dropped == 1)


def test_corrupt_packets_are_dropped_by_their_receiver():
    with slow_line(corrupt="30%") as net, paced_flow(net, 0, 1, count=1000, gap=0.002) as flow:
        pass
    assert 620 < flow[0] < 780
    assert flow[0] == flow[1]


def test_there_is_a_process_for_every_two_cpus():
    with up(network("ring", 4, shape(delay="20ms"))) as net:
        count = max(1, len(os.sched_getaffinity(0)) // 2)
        assert len(holders(net)) == min(count, 4)
        for rank in range(1, 4):
            assert ping(net, 0, rank, count=3)[0] == 0


def test_a_paced_flow_comes_whole_through_loss_free_links():
    stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, None)
    with slow_line(rate="100mbit") as net:
        address = str(net.plan.addressing.ipv4(1))
        spawn = lambda rank, argv: net.backend.spawn(rank, argv, stdio=stdio)  # noqa: E731
        with udp_flow(spawn, address, 2000, 0.0005) as flow:
            pass
        assert flow == [2000, 2000]


def test_a_run_is_told_at_once_that_its_links_went_down(harness):
    argv = [*HARNESS, "run", "-n", "2", "-p", "wan", "--engine", "userspace", "--", "sleep", "4"]
    mine = f"HARNESS_STATE_DIR={harness.env['HARNESS_STATE_DIR']}".encode()
    with subprocess.Popen(argv, env=harness.env, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: started_with(mine))
        time.sleep(1)
        for pid in started_with(mine):
            os.kill(pid, signal.SIGKILL)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert told.count("the shaper daemon was killed by SIGKILL: no packet passes until") == 1


def test_a_pipe_behind_up_ends_with_it(harness):
    argv = [*HARNESS, "up", "-n", "2", "-p", "wan", "--engine", "userspace"]
    with subprocess.Popen(argv, env=harness.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.communicate(timeout=60)  # else the network holds the other end open
    assert process.returncode == 0


NEGLECTED = """
import ctypes, subprocess
from harness.backends.base import Stdio
from tests.support.live import up
from tests.support.plans import network
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
with up(network("line", 2)) as net:
    program = net.backend.spawn(0, ["sh", "-c", "echo; sleep 60"], stdio=Stdio(None, subprocess.PIPE, None))
    program.stdout.readline()
    program.kill()  # its proxy; what is behind it is now ours, and we never wait for it
    program.wait()
"""


def test_a_killed_program_that_nobody_waits_for_does_not_hold_up_the_end():
    """As in a container whose process 1 does not wait for orphans: `down` failed after 10 s."""
    done = subprocess.run([sys.executable, "-c", NEGLECTED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
