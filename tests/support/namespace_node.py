"""Rank 0 of a plan in a network namespace that the test's process is in: where a real engine is tried."""

from __future__ import annotations

import contextlib
import os

import pytest
from pyroute2 import IPRoute

from harness.errors import NodeError
from harness.linux.syscalls import CLONE_NEWNET, setns, unshare
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
