"""What passes a node's interface where its links are not shaped but others of the network are: no daemon, no netem.

Two namespaces with a cable between them stand for nodes 0 and 1 of three. The same packets cross shaped links in
tests/live/test_every_packet.py.
"""

import contextlib
import os
import subprocess
import sys
from ipaddress import IPv6Address, ip_network
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from harness.linux.host import has_ipv6
from harness.linux.syscalls import CLONE_NEWNET, setns, unshare
from harness.netlink.nfnetlink import Nfnetlink
from harness.shaping.netem import NetemEngine
from harness.shaping.userspace import rules
from harness.shaping.userspace.guard import Guard
from tests.support import frames
from tests.support.cli import wait_for
from tests.support.frame_exchange import outcomes
from tests.support.frames import DROPPED, UNSHAPED
from tests.support.plans import network, shape

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0 or not has_ipv6(), reason="enters namespaces as root, and uses IPv6"),
    pytest.mark.timing,
]
PLAN = network("fully_connected", 3, e02=shape(delay="1ms"))
"""Edge 0-1 is not shaped, edge 0-2 is."""


class Node:
    """A namespace with eth0, which has the addresses of that rank."""

    def __init__(self, rank):
        self.rank, self.node = rank, PLAN.node(rank)
        unshare(CLONE_NEWNET)
        self.namespace = os.open("/proc/self/ns/net", os.O_RDONLY)

    def enter(self):
        setns(self.namespace, CLONE_NEWNET)

    def start(self):
        self.enter()
        Path("/proc/sys/net/ipv6/conf/eth0/accept_dad").write_text("0")
        with IPRoute() as ip:
            (self.index,) = ip.link_lookup(ifname="eth0")
            ip.addr("add", index=self.index, address=str(self.node.ipv4), prefixlen=16)
            ip.addr("add", index=self.index, address=str(self.node.ipv6), prefixlen=64, flags=2)
            if self.rank:
                ip.addr("add", index=self.index, address=str(frames.OTHER_LINK), prefixlen=16)
            ip.link("set", index=self.index, state="up")

    def near(self):
        self.enter()
        with IPRoute() as ip:
            wait_for(lambda: any(a.get("scope") == 253 for a in ip.get_addr(family=10, index=self.index)))
            (found,) = (a for a in ip.get_addr(family=10, index=self.index) if a["scope"] == 253)
            return IPv6Address(found.get_attr("IFA_ADDRESS"))

    def mac(self):
        self.enter()
        with IPRoute() as ip:
            return bytes.fromhex(ip.get_links(self.index)[0].get_attr("IFLA_ADDRESS").replace(":", ""))

    def spawn(self, argv):
        self.enter()
        return subprocess.Popen([sys.executable, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.fixture
def nodes():
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    both = Node(0), Node(1)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, home)
        stack.callback(setns, home, CLONE_NEWNET)
        for node in both:
            stack.callback(os.close, node.namespace)
        with IPRoute() as ip:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "eth0", "net_ns_fd": both[0].namespace})
        for node in both:
            node.start()
        yield both


def guard_by_netem(node):
    assert not NetemEngine().apply(PLAN.node(1)).mismatches if node.rank else True
    if not node.rank:
        plan = network("fully_connected", 3, e12=shape(delay="1ms"))
        assert not NetemEngine().apply(plan.node(0)).mismatches


def guard_by_nftables(node):
    own = (node.node.ipv4, node.node.ipv6)
    others = [PLAN.addressing.address(rank, version) for rank in range(3) if rank != node.rank for version in (4, 6)]
    with Nfnetlink() as netlink:
        rules.install(
            netlink, Guard(node.index, own, relays=False), [rules.Rule(ip_network(one), None) for one in others]
        )


@pytest.mark.parametrize("engine", ["netem", "userspace"])
def test_what_crosses_no_link_is_dropped(nodes, engine):
    near, far = nodes
    ends = frames.Ends(
        (near.mac(), far.mac()),
        (near.node.ipv4, far.node.ipv4),
        (near.node.ipv6, far.node.ipv6),
        (near.near(), far.near()),
        (PLAN.addressing.ipv4(2), PLAN.addressing.ipv6(2)),
        PLAN.addressing.ipv4_net.broadcast_address,
    )
    kinds = frames.kinds(ends)
    assert len({kind.name for kind in kinds}) == len(kinds) >= 80
    with outcomes(near.spawn, far.spawn, kinds) as send:
        found = send(0.2)
        lost = [name for name, came in found.items() if came is None]
        assert lost == [], "nothing is guarded: all arrive"
        for node in nodes:
            node.enter()
            guard_by_netem(node) if engine == "netem" else guard_by_nftables(node)
        found = send(0.2)
    wanted = {kind.name: getattr(kind, engine) != DROPPED for kind in kinds}
    arrived = {name: came is not None for name, came in found.items()}
    assert {name: came for name, came in arrived.items() if came != wanted[name]} == {}
    assert UNSHAPED in {getattr(kind, engine) for kind in kinds}
