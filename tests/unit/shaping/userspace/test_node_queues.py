"""What a node's link queues need of the machine; the queues themselves are tested in tests/userspace."""

import errno
import os
import socket

import pytest

from harness.shaping.userspace.node_queues import NodeQueues


def opened(monkeypatch, code):
    """The sockets for copies on a machine that refuses them with that error."""

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    node = object.__new__(NodeQueues)
    node.namespace = None
    node._raw = {}
    monkeypatch.setattr(socket, "socket", refuse)
    node._open_raw()
    return node._raw


def test_no_socket_for_copies_is_an_error(monkeypatch):
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        opened(monkeypatch, errno.EMFILE)


def test_a_host_without_ipv6_needs_no_socket_for_it(monkeypatch):
    assert opened(monkeypatch, errno.EAFNOSUPPORT) == {}
