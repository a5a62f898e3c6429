"""Trees of uplinks and downlinks in the kernel: made, changed in place, read back, repaired. Needs no netem."""

import itertools
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from harness.errors import NodeError
from harness.linux.host import has_ipv6
from harness.linux.syscalls import CLONE_NEWNET, unshare
from harness.model.capacity import Capacity, NodeShape
from harness.model.status import NodeStatus
from harness.model.units import Rate, Size
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps.downlink import apply_downlink, with_downlink
from harness.shaping.caps.ifb import find_ifb
from harness.shaping.caps.uplink import apply_uplink, with_uplink
from harness.shaping.segments import interface_index
from tests.support.namespace_node import given, returning
from tests.support.plans import network

pytestmark = pytest.mark.namespaces
CAPACITY = Capacity(Rate(20_000_000))
CAPACITIES = [
    None,
    CAPACITY,
    replace(CAPACITY, rate=Rate(64_000), buffer=Size(30_000)),
    replace(CAPACITY, rate=Rate(50 * 10**9), overhead=24),
    replace(CAPACITY, overhead=-14),
]
DEVICES = {"uplink": "eth0", "downlink": "ifb-down"}


class Node:
    """Rank 0 with its uplink or its downlink, in a namespace of its own."""

    def __init__(self, cap):
        self.cap, self.device = cap, DEVICES[cap]
        unshare(CLONE_NEWNET)
        with IPRoute() as ip:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})

    def capped(self, plan, capacity=CAPACITY):
        return plan.with_nodes({0: NodeShape(**{self.cap: capacity})})

    def apply(self, plan):
        make = apply_uplink if self.cap == "uplink" else apply_downlink
        with Rtnetlink() as netlink:
            make(netlink, plan.node(0), interface_index(plan.node(0)))
        return self.observe(plan)

    def observe(self, plan):
        read = with_uplink if self.cap == "uplink" else with_downlink
        return read(NodeStatus({}), plan.node(0), interface_index(plan.node(0)))


@pytest.fixture(params=["uplink", "downlink"])
def node(request):
    with returning():
        yield Node(request.param)


def tc(*words):
    return subprocess.run(["tc", *words], check=True, capture_output=True, text=True).stdout


def test_a_node_without_a_cap_gets_no_tree(node):
    plan = network("star", 4)
    assert node.apply(plan) == NodeStatus({})
    assert "htb" not in tc("qdisc", "show")


def test_every_capacity_becomes_every_other_in_place(node):
    plan = network("star", 4)
    node.apply(node.capped(plan))
    before = tc("qdisc", "show", "dev", node.device)
    for old, new in itertools.permutations(CAPACITIES, 2):
        for capacity in (old, new):
            found = node.apply(node.capped(plan, capacity))
            assert not found.cap_mismatches
            assert found.caps[node.cap].applied == capacity
        if None not in (old, new) and old != new:
            assert node.capped(plan, old) != node.capped(plan, new)
            assert node.observe(node.capped(plan, old)).cap_mismatches
    node.apply(node.capped(plan))
    assert tc("qdisc", "show", "dev", node.device) == before, "no qdisc was replaced, which would drop what it holds"


def test_what_another_changed_is_told_and_made_again(node):
    plan = node.capped(network("star", 4))
    node.apply(plan)
    for words, told in [
        (("class", "change", "dev", node.device, "classid", "1:ffff", "htb", "rate", "1mbit"), "class ffff: rate"),
        (("qdisc", "replace", "dev", node.device, "parent", "1:2", "bfifo", "limit", "5000"), "queue of class 2"),
        (("filter", "del", "dev", node.device, "parent", "1:", "prio", "2"), "3 of its "),
        (("qdisc", "del", "dev", node.device, "root"), "class ffff is missing"),
    ]:
        tc(*words)
        assert any(told in text for _, text in node.observe(plan).cap_mismatches), told
        assert not node.apply(plan).cap_mismatches


@pytest.mark.parametrize("node", ["downlink"], indirect=True)
def test_what_comes_in_past_the_downlink_is_told(node):
    plan = node.capped(network("star", 4))
    node.apply(plan)
    tc("qdisc", "del", "dev", "eth0", "ingress")
    assert ("downlink", "4 of its 4 filters are missing") in node.observe(plan).cap_mismatches
    assert not node.apply(plan).cap_mismatches


def test_packets_are_told_apart_by_where_nodes_are_now(node):
    """Docker gives a container that is started again the lowest address that is free."""
    before = given(node.capped(network("star", 3)), "10.9.0.2", "10.9.0.3", "10.9.0.4")
    after = given(before, "10.9.0.2", "10.9.0.4", "10.9.0.3")
    node.apply(before)
    assert node.observe(after).cap_mismatches
    assert not node.apply(after).cap_mismatches
    assert "0a090004" in tc("filter", "show", "dev", node.device)


def test_what_goes_to_nodes_behind_a_neighbour_shares_its_class(node):
    node.apply(node.capped(network("line", 4)))
    shown = tc("filter", "show", "dev", node.device, "parent", "1:", "protocol", "ip")
    assert shown.count("flowid 1:1 ") == 2
    assert "0a4d0002/fffffffe" in shown
    assert "0a4d0004/ffffffff" in shown


@pytest.mark.parametrize("node", ["uplink"], indirect=True)
def test_all_ip_packets_count_and_arp_does_not(node):
    if has_ipv6():  # what it sends by itself as an interface comes up would be counted too
        Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    nobody = "10.77.0.200"
    with IPRoute() as ip:
        index = ip.link_lookup(ifname="eth0")[0]
        for name in ("far", "eth0"):
            ip.link("set", index=ip.link_lookup(ifname=name)[0], state="up")
        ip.addr("add", index=index, address="10.77.0.1", prefixlen=16)
        for address in ("10.77.0.2", nobody):
            ip.neigh("add", dst=address, lladdr="02:00:00:00:00:09", ifindex=index, state=0x80)
    plan = node.capped(network("star", 4))
    node.apply(plan)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for address in ("10.77.0.2", nobody):
            sender.sendto(b"counted", (address, 9))
    arp = bytes.fromhex("0001080006040001") + bytes(20)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.sendto(bytes(12) + b"\x08\x06" + arp, ("eth0", 0x0806))
    assert node.observe(plan).caps["uplink"].stats.sent_packets == 2


def test_a_refusal_names_node_and_cap(node):
    plan = node.capped(network("star", 3))
    if node.cap == "downlink":
        with IPRoute() as ip:
            ip.link("add", ifname=node.device, kind="ifb")
    tc("qdisc", "add", "dev", node.device, "root", "handle", "7:", "htb")  # somebody else's tree
    with pytest.raises(NodeError, match=f"node 0: limit its {node.cap}: "):
        node.apply(plan)


def test_an_interface_that_is_not_there_is_looked_for_without_running_modprobe(monkeypatch):
    """As the ioctl of if_nametoindex does, in 20 ms or more: a link's change looked for ifb-down six times."""
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: pytest.fail(f"asked for {name} by an ioctl"))
    assert find_ifb("lo") == 1
    assert find_ifb("ifb-down") is None
    assert find_ifb("l") is None, "a whole name"
