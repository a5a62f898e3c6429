"""What an engine remembers of a node is read again when the kernel says that somebody has changed it."""

import socket

import pytest
from pyroute2 import IPRoute

from harness.linux.syscalls import CLONE_NEWNET, unshare
from harness.netlink.nfnetlink import Nfnetlink
from harness.netlink.rtnetlink import LinkWatch, Rtnetlink
from harness.shaping.caps import messages as tc
from harness.shaping.userspace import rules
from harness.shaping.userspace.guard import Guard
from harness.shaping.userspace.node_rules import NodeRules
from tests.support.namespace_node import returning
from tests.support.plans import network, shape

pytestmark = pytest.mark.namespaces


@pytest.fixture
def index():
    with returning():
        unshare(CLONE_NEWNET)
        with IPRoute() as ip:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})
        yield socket.if_nametoindex("eth0")


@pytest.mark.nfqueue
def test_rules(index, monkeypatch):
    dumps, read = [], rules.read
    monkeypatch.setattr(rules, "read", lambda *given: dumps.append(given) or read(*given))
    node = network("line", 2, shape(delay="1ms")).node(0)
    guard = Guard(index, (node.ipv4, node.ipv6))
    kept, (peer,) = NodeRules(), node.addressing.prefixes([1], 4)
    with Nfnetlink() as somebody:
        kept.read(node, guard)  # a process asks once what nf_tables can do, with a table for a moment
        dumps.clear()
        assert [kept.read(node, guard).rooted for _ in range(3)] == [False] * 3
        assert len(dumps) <= 1
        dumps.clear()
        rules.install(somebody, guard, [rules.Rule(peer, 0x4801)])
        assert [kept.read(node, guard).filters for _ in range(3)] == [{peer: 1}] * 3
        assert len(dumps) == 1
        rules.remove(somebody)
        assert not kept.read(node, guard).rooted
        assert not kept.read(node, Guard(index + 1, guard.own)).rooted
        assert len(dumps) == 3
    kept.close()


def test_qdiscs(index):
    watch = LinkWatch()
    assert not watch.changed()
    with Rtnetlink() as somebody:
        assert not somebody.batch([tc.new_root(index)])
        assert watch.changed()
        assert not watch.changed()
        assert not somebody.batch([tc.set_shortening(index, number % 2) for number in range(2000)])
        assert watch.changed(), "there was more than the socket has room for"
        assert not watch.changed()
    watch.close()
