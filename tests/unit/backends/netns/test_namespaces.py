"""What is said where a node cannot be entered."""

import os

import pytest

from harness.backends.netns import namespaces
from harness.backends.netns.namespaces import Keeper, start_time
from harness.errors import NetworkStateError


def test_a_first_process_that_is_just_ending_is_the_cause(monkeypatch):
    """The kernel takes its mount namespace from a process that ends before the process is gone."""
    own = os.getpid()
    with open("/proc/self/ns/net", "rb") as net:
        keeper = Keeper(own, start_time(own), False, net.fileno(), (net.fileno(),), (own,))
        exists = os.path.exists
        monkeypatch.setattr(namespaces.os.path, "exists", lambda path: not path.endswith("/mnt") and exists(path))
        opened = Keeper.open

        def without_mounts(self, path):
            if path.endswith("/mnt"):
                raise NetworkStateError("No such file or directory")
            return opened(self, path)

        monkeypatch.setattr(Keeper, "open", without_mounts)
        with (
            pytest.raises(NetworkStateError, match=r"first process of node 0 was killed.*'harness down' and 'up'"),
            keeper.entrance(0),
        ):
            pass
