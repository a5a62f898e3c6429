"""Agents have one port and one control socket per network namespace: the tests of each file have one of their own."""

import pytest
from pyroute2 import IPRoute

from harness.linux.syscalls import CLONE_NEWNET, unshare
from tests.support.namespace_node import returning


@pytest.fixture(scope="module", autouse=True)
def namespace():
    """Be in it; who may not make one is alone on the machine's loopback."""
    with returning():
        try:
            unshare(CLONE_NEWNET)
        except PermissionError:
            yield
            return
        with IPRoute() as ip:
            ip.link("set", index=1, state="up")
        yield
