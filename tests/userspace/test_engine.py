"""The engines' contract on links in user space, and what only those can refuse."""

import os
import subprocess
import sys

import pytest
from pyroute2 import IPRoute

from harness.engine.userspace.engine import UserspaceEngine
from harness.engine.userspace.holder import QUEUE_BASE
from harness.engine.userspace.nfqueue import Nfqueue
from harness.engine.userspace.rules import remove
from harness.errors import NodeError
from harness.linux.syscalls import CLONE_NEWNET, setns, unshare
from harness.netlink.nfnetlink import Nfnetlink
from tests.support.engine_suite import EngineSuite
from tests.support.plans import network, shape

pytestmark = [pytest.mark.nfqueue, pytest.mark.namespaces]
SUPERVISOR = "from harness.engine.userspace.supervisor import Supervisor; Supervisor({0: None}, 64).run(0)"


class UserspaceNode:
    """Rank 0 of a plan, in a network namespace that this process is in now, with the process that makes its links."""

    def __init__(self, plan):
        unshare(CLONE_NEWNET)
        with IPRoute() as ip:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})
        self.supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdin=subprocess.PIPE)

    def apply(self, plan, touched=()):
        return UserspaceEngine().apply(plan.node(0), touched)

    def observe(self, plan):
        return UserspaceEngine().observe(plan.node(0))


@pytest.fixture
def make():
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    nodes = []

    def build(plan):
        nodes.append(UserspaceNode(plan))
        return nodes[-1]

    yield build
    for node in nodes:
        node.supervisor.stdin.close()
        assert node.supervisor.wait(10) == 0
    setns(home, CLONE_NEWNET)
    os.close(home)


class TestUserspaceEngine(EngineSuite):
    pass


def test_a_queue_that_is_taken_is_told_by_edge(make):
    plan = network("line", 2, shape(delay="1ms"))
    node = make(plan)
    other = Nfqueue()
    other.bind(QUEUE_BASE + 1, max_length=10, copy_bytes=1, segment=False)
    with pytest.raises(NodeError, match=r"node 0: make edge 1->0 .*NFQUEUE 18433 is taken by another process"):
        node.apply(plan)
    other.close()
    assert not node.apply(plan).mismatches


def test_rules_that_were_removed_are_told_and_made_again(make):
    plan = network("ring", 3, shape(delay="1ms"))
    node = make(plan)
    node.apply(plan)
    with Nfnetlink() as netlink:
        remove(netlink)
    reading = node.observe(plan)
    assert {pair for pair, _ in reading.mismatches} == {(1, 0), (2, 0)}
    assert "no IPv4 filter sends packets of node 1 there" in dict(reversed(reading.mismatches)).values() or any(
        "no IPv4 filter" in what for _, what in reading.mismatches
    )
    assert not node.apply(plan).mismatches


def test_no_process_is_one_clear_error(make, monkeypatch):
    plan = network("line", 2, shape(delay="1ms"))
    node = make(plan)
    node.apply(plan)
    node.supervisor.stdin.close()
    assert node.supervisor.wait(10) == 0
    monkeypatch.setattr("harness.engine.userspace.control._START_SECONDS", 0.3)
    with pytest.raises(NodeError, match="the process that makes the links does not run: no packet passes"):
        node.observe(plan)


def test_no_interface_is_one_clear_error(make):
    plan = network("line", 2, shape(delay="1ms"))
    node = make(plan)
    with IPRoute() as ip:
        ip.link("del", ifname="eth0")
    with pytest.raises(NodeError, match="eth0"):
        node.apply(plan)
