"""The engine in user space with CAP_NET_ADMIN and no other capability, as in a container that was given only that."""

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import NodeError, UnavailableError
from harness.linux.fork import forked
from harness.linux.host import has_ipv6
from harness.model.address import Addressing
from harness.model.capacity import Capacity, NodeShape
from harness.model.status import NodeStatus
from harness.model.units import Rate
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps.downlink import apply_downlink, with_downlink
from harness.shaping.caps.uplink import apply_uplink, with_uplink
from harness.shaping.check_needs import check_needs
from harness.shaping.detect import in_place_features
from harness.shaping.facts import NETEM
from harness.shaping.qdisc import Branch, Netem
from harness.shaping.userspace import control
from harness.shaping.userspace.engine import UserspaceEngine
from harness.shaping.userspace.supervisor import Supervisor
from tests.support.cli import wait_for
from tests.support.plans import network, shape
from tests.support.veth import cable

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.nfqueue,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters a namespace as root"),
    pytest.mark.timing,
]

NET_ADMIN = 12
NET_ADMIN_ALONE = {"CapInh": 0, "CapPrm": 1 << 12, "CapEff": 1 << 12, "CapBnd": 1 << 12, "CapAmb": 0}
NOBODY = 65534
FAR = {4: "10.0.0.2", 6: "fd00::2"}
"""Rank 1, at the far end of the cable; this process is at the near end, rank 0."""
ADDRESSING = Addressing.parse("10.0.0.0/24", "fd00::/64")

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 24, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522


def confine():
    """Give up every capability but CAP_NET_ADMIN, for this process and all that it starts; it is still uid 0."""
    libc = ctypes.CDLL(None, use_errno=True)

    def checked(result):
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def prctl(*arguments):
        checked(libc.prctl(*(ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:5])))

    # What root reads as root alone, such as a checkout below a home of mode 0750, is read by its group then.
    os.setgroups([folder.stat().st_gid for folder in Path(__file__).parents])
    for capability in range(int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        if capability != NET_ADMIN:
            prctl(_PR_CAPBSET_DROP, capability)
    prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    keep = 1 << NET_ADMIN
    checked(libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), struct.pack("=6I", keep, keep, 0, 0, 0, 0)))


def capabilities(process):
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: int(bits, 16) for name, bits in (line.split(":") for line in lines if line.startswith("Cap"))}


def confined(work):
    """Its result, from a process that may do nothing else."""

    def alone():
        confine()
        return work()

    return forked(alone)


def plan(every):
    return replace(network("line", 2, every), addressing=ADDRESSING)


def apply(every):
    reading = confined(lambda: UserspaceEngine().apply(plan(every).node(0)))
    assert not reading.mismatches
    return reading


class Node:
    """Rank 0: what keeps its links alive, in processes that may do nothing else."""

    def __init__(self):
        self._lifeline, theirs = os.pipe()[::-1]
        self.supervisor = os.fork()
        if self.supervisor == 0:
            with contextlib.suppress(BaseException):
                os.close(self._lifeline)
                confine()
                Supervisor({0: None}, size=2).run(theirs)
            os._exit(0)
        os.close(theirs)

    def end(self):
        os.close(self._lifeline)
        os.waitpid(self.supervisor, 0)

    @property
    def holder(self):
        """The shaper daemon now."""
        (pid,) = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children").read_text().split()
        return int(pid)

    @contextlib.contextmanager
    def without_holder(self):
        """No holder meanwhile: it is killed, and who would start it again stands still."""
        os.kill(self.supervisor, signal.SIGSTOP)
        try:
            os.kill(self.holder, signal.SIGKILL)
            yield
        finally:
            os.kill(self.supervisor, signal.SIGCONT)


@pytest.fixture
def node():
    with cable():
        made = Node()
        try:
            yield made
        finally:
            made.end()


def pinging(count, version=4):
    """A ping to rank 1; -U has it take the time itself: the kernel's stamps are older than the hold."""
    argv = ["ping", "-U", "-n", "-c", str(count), "-i", "0.05", "-W", "0.5", FAR[version]]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def times(lines):
    return [float(found[1]) for line in lines if (found := re.search(r"time=([\d.]+) ms", line))]


def round_trips(count=8, version=4):
    """Of the answers that came, ms."""
    return times(pinging(count, version).communicate(timeout=30)[0].splitlines())


def about(delay):
    return pytest.approx(delay, abs=2)


def test_its_processes_may_do_nothing_else(node):
    assert confined(lambda: capabilities("self")) == NET_ADMIN_ALONE
    assert capabilities(node.supervisor) == NET_ADMIN_ALONE
    assert capabilities(node.holder) == NET_ADMIN_ALONE


@pytest.mark.parametrize("version", [4, 6] if has_ipv6() else [4])
def test_a_link_has_its_delay(node, version):
    apply(shape(delay="20ms"))
    found = round_trips(version=version)
    assert len(found) == 8
    assert min(found) == about(20)


def test_uplink_and_downlink_are_probed_made_and_read_back():
    """By the kernel's htb, whichever engine makes the links."""
    capacity = Capacity(Rate(20_000_000))
    limited = plan(None).with_nodes({0: NodeShape(capacity, capacity)})

    def limit(index):
        check_needs(limited, NETEM, 0, probe=in_place_features)
        with Rtnetlink() as netlink:
            apply_uplink(netlink, limited.node(0), index)
            apply_downlink(netlink, limited.node(0), index)
        return with_downlink(with_uplink(NodeStatus({}), limited.node(0), index), limited.node(0), index)

    with cable() as near:
        found = confined(lambda: limit(near.index))
        assert not found.cap_mismatches
        assert {name: status.applied for name, status in found.caps.items()} == {
            "uplink": capacity,
            "downlink": capacity,
        }
        assert len(round_trips()) == 8
        counted = with_downlink(with_uplink(NodeStatus({}), limited.node(0), near.index), limited.node(0), near.index)
        assert all(status.stats.sent_packets >= 8 for status in counted.caps.values())


def test_a_link_changes_while_packets_cross_it(node):
    apply(shape(delay="20ms"))
    with pinging(80) as ping:  # long enough for a machine that stalls
        before = times(ping.stdout.readline() for _ in range(40))
        apply(shape(delay="60ms", rate="10mbit"))
        after = times(ping.stdout)
    assert len(before) + len(after) == 80
    assert min(before) == about(20)
    assert min(after[-30:]) == about(60)


def test_while_its_process_is_gone_no_packet_passes_and_then_the_link_is_back(node):
    apply(shape(delay="20ms"))
    killed = node.holder
    with node.without_holder():
        assert round_trips() == []
    wait_for(lambda: round_trips(2))
    assert min(round_trips()) == about(20)
    assert node.holder != killed
    (note,) = confined(lambda: UserspaceEngine().observe(plan(shape(delay="20ms")).node(0))).notes
    assert "was killed by SIGKILL" in note


def test_to_send_packets_twice_is_refused_with_the_capability_that_it_needs(node):
    apply(shape(delay="20ms"))
    with pytest.raises(NodeError, match=r"^node 0: make edge 1->0 in user space: .*CAP_NET_RAW"):
        apply(shape(delay="30ms", duplicate="1%"))
    assert min(round_trips()) == about(20)


def test_another_user_may_neither_change_nor_read_links(node):
    apply(shape(delay="20ms"))
    down = control.branch_to_json(Branch(1, Netem(loss=2**32 - 1)))

    def as_nobody(work, request):
        def dropped():
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            return work(request)

        return forked(dropped)

    def by_hand(request):
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(ConnectionError):
            connection.connect(control.ADDRESS)
            connection.sendall(json.dumps(request).encode() + b"\n")
            return connection.recv(100)
        return b""

    for request in ({"do": "read"}, {"do": "set", "branches": [down]}):
        assert as_nobody(by_hand, request) == b""
        with pytest.raises(UnavailableError):
            as_nobody(control.ask, request)
    assert confined(lambda: by_hand({"do": "read"})), "its own user is answered"
    assert min(round_trips()) == about(20)
