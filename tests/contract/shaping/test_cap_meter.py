"""What an uplink's tree has counted, read past its namespace. Needs no netem."""

import socket
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from harness.linux.host import has_ipv6
from harness.linux.syscalls import CLONE_NEWNET, unshare
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps.meter import read_tree
from harness.shaping.caps.uplink import apply_uplink
from tests.support.namespace_node import returning
from tests.support.plans import network

pytestmark = pytest.mark.namespaces
NEIGHBOUR = "10.77.0.2"


def counted(capacity):
    """What is counted of ten datagrams of 1000 bytes to node 1, before and after."""
    with returning():
        unshare(CLONE_NEWNET)
        if has_ipv6():  # what it sends by itself as an interface comes up would be counted too
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        with IPRoute() as ip:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})
            for name in ("eth0", "far"):
                ip.link("set", index=ip.link_lookup(ifname=name)[0], state="up")
            index = ip.link_lookup(ifname="eth0")[0]
            ip.addr("add", index=index, address="10.77.0.1", prefixlen=16)
            ip.neigh("add", dst=NEIGHBOUR, lladdr="02:00:00:00:00:09", ifindex=index, state=0x80)
        netlink = Rtnetlink()
        plan = network("ring", 2).with_nodes({0: NodeShape(uplink=capacity)})
        assert read_tree(netlink, index) is None
        apply_uplink(netlink, plan.node(0), index)
        before = read_tree(netlink, index)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(10):
                sock.sendto(bytes(1000), (NEIGHBOUR, 9))
    with netlink:  # from outside: it stays in the namespace in which it was opened
        return before, read_tree(netlink, index)


@pytest.mark.parametrize("overhead", [0, 24, -14])
def test_frames_are_counted_as_they_are(overhead):
    (packets, size, *_), (packets_then, size_then, dropped, backlog, queued) = counted(
        Capacity(Rate(1_000_000_000), overhead=overhead)
    )
    assert (packets_then - packets, size_then - size) == (10, 10 * 1042)
    assert (dropped, backlog, queued) == (0, 0, 0)


def test_what_waits_and_what_is_dropped():
    _, (packets, _, dropped, backlog, queued) = counted(Capacity(Rate(8_000)))
    assert packets + dropped + queued == 10
    assert backlog == 1042 * queued > 0


def test_a_limit_that_was_taken_away_is_no_capacity():
    with returning():
        unshare(CLONE_NEWNET)
        with IPRoute() as ip, Rtnetlink() as netlink:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})
            index = ip.link_lookup(ifname="eth0")[0]
            plan = network("ring", 2)
            for uplink, found in ((Capacity(Rate(1_000_000)), (0, 0, 0, 0, 0)), (None, None)):
                apply_uplink(netlink, plan.with_nodes({0: NodeShape(uplink=uplink)}).node(0), index)
                assert read_tree(netlink, index) == found
