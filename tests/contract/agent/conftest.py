"""Each test file has a network namespace, because agents have one port and one control socket in each."""

import pytest
from pyroute2 import IPRoute

from harness.linux.syscalls import CLONE_NEWNET, unshare
from tests.support.namespace_node import returning


@pytest.fixture(scope="module", autouse=True)
def namespace():
    """Enter a new namespace; without the privilege, use the machine's loopback."""
    with returning():
        try:
            unshare(CLONE_NEWNET)
        except PermissionError:
            yield
            return
        with IPRoute() as ip:
            ip.link("set", index=1, state="up")
        yield
