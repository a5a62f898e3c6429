"""What the kernel's engine does in a node where no netem is needed, or none is there."""

import os

import pytest
from pyroute2 import IPRoute

from harness.errors import NodeError
from harness.linux.syscalls import CLONE_NEWNET, setns, unshare
from harness.shaping.netem import NetemEngine
from tests.support.plans import network, shape

pytestmark = [pytest.mark.namespaces, pytest.mark.skipif(os.geteuid() != 0, reason="enters a namespace as root")]


@pytest.fixture
def interface():
    """Index of eth0 in a network namespace that this process is in now."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    unshare(CLONE_NEWNET)
    with IPRoute() as ip:
        ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})
        yield ip.link_lookup(ifname="eth0")[0]
    setns(home, CLONE_NEWNET)
    os.close(home)


def segments(interface):
    with IPRoute() as ip:
        return ip.get_links(interface)[0].get_attr("IFLA_GSO_MAX_SEGS")


def test_a_node_that_shapes_nothing_cuts_super_packets_for_the_links_behind(interface):
    plan = network("line", 3, e01=shape(loss="1%"))
    NetemEngine().apply(plan.node(2))
    assert segments(interface) == 1
    NetemEngine().apply(plan.node(2))
    assert segments(interface) == 1


def test_an_unshaped_network_keeps_super_packets(interface):
    before = segments(interface)
    NetemEngine().apply(network("line", 3).node(2))
    assert segments(interface) == before > 1


def test_an_attempt_that_failed_can_be_repeated(interface):
    plan = network("line", 2, shape(delay="1ms"))
    answers = []
    for _ in range(2):
        try:
            answers.append(NetemEngine().apply(plan.node(0)).mismatches)
        except NodeError as error:
            answers.append(str(error))
    assert answers[0] == answers[1]
