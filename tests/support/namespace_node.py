"""Rank 0 of a plan in a network namespace that the test's process is in: where a real engine is tried."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from pyroute2 import IPRoute

from harness.errors import NodeError
from harness.linux.syscalls import CLONE_NEWNET, setns, unshare
from harness.model.address import Addressing
from tests.support.engine_suite import EngineSuite
from tests.support.plans import network, shape


class NamespaceNode:
    """Makes the namespace with its interface, and enters it."""

    def __init__(self, engine):
        self.engine = engine
        unshare(CLONE_NEWNET)
        with IPRoute() as ip:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})

    def apply(self, plan, touched=()):
        return self.engine.apply(plan.node(0), touched)

    def observe(self, plan):
        return self.engine.observe(plan.node(0))


@contextlib.contextmanager
def returning():
    """Be back in the namespace that we came from at the end of the block."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        yield
    finally:
        setns(home, CLONE_NEWNET)
        os.close(home)


class RealEngineSuite(EngineSuite):
    """The contract, and what only an engine that touches the machine must do."""

    def test_no_interface_is_one_clear_error(self, make):
        plan = network("line", 2, shape(delay="1ms"))
        node = make(plan)
        with IPRoute() as ip:
            ip.link("del", ifname="eth0")
        with pytest.raises(NodeError, match="eth0"):
            node.apply(plan)

    @pytest.mark.parametrize(
        "moved",
        [
            ("10.9.0.2", "10.9.0.4", "10.9.0.3"),
            ("10.9.0.2", "10.9.0.9", "10.9.0.4"),
            ("10.9.0.2", "10.9.0.4", "10.9.0.5"),
        ],
        ids=["two nodes change places", "a node gets an address that nobody had", "one takes another's, who moves on"],
    )
    def test_packets_are_told_apart_by_where_nodes_are_now(self, make, moved):
        """Docker gives a container that is started again the lowest address that is free."""
        shapes = {"e01": shape(delay="10ms"), "e02": shape(delay="20ms")}
        before = given(network("star", 3, **shapes), "10.9.0.2", "10.9.0.3", "10.9.0.4")
        after = given(before, *moved)
        node = make(before)
        assert not node.apply(before).mismatches
        assert node.observe(after).mismatches
        assert not node.apply(after).mismatches
        assert node.observe(before).mismatches
        assert not node.apply(before).mismatches, "and back"


def given(plan, *ipv4):
    """The plan with these addresses, and IPv6 ones that end alike."""
    ipv6 = tuple(IPv6Address(f"fd09::{text.rpartition('.')[2]}") for text in ipv4)
    addresses = Addressing(IPv4Network("10.9.0.0/16"), IPv6Network("fd09::/64"), tuple(map(IPv4Address, ipv4)), ipv6)
    return replace(plan, addressing=addresses)
