"""Connections of a throwaway network namespace, asked for one by one."""

import errno
import os
import socket

import pytest

from harness.linux.syscalls import CLONE_NEWNET, setns, unshare
from harness.netlink import tcp_info
from harness.netlink.tcp_info import Connections

pytestmark = pytest.mark.namespaces


@pytest.fixture
def connections():
    """Sees a namespace of its own, with 150 connections over loopback."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    unshare(CLONE_NEWNET)
    try:
        from pyroute2 import IPRoute

        with IPRoute() as ip:
            ip.link("set", index=1, state="up")
        server = socket.create_server(("127.0.0.1", 0), backlog=200)
        sockets = [server]
        for _ in range(150):
            sockets.append(socket.create_connection(server.getsockname()))
            sockets.append(server.accept()[0])
        with Connections() as made:
            made.sockets = sockets
            yield made
        for one in sockets:
            one.close()
    finally:
        setns(home, CLONE_NEWNET)
        os.close(home)


def test_all_are_found_and_each_answers_for_itself(connections):
    found, opening = connections.all()
    assert (len(found), opening) == (300, False)
    for number, one in enumerate(connections.sockets[1::2]):
        one.sendall(bytes(number))
    ends = {one.getsockname()[1]: number for number, one in enumerate(connections.sockets[1::2])}
    known = [one.connection for one in found]
    acked = {one.ports[0]: info.bytes_acked for one, info in zip(known, connections.look(known), strict=True)}
    assert {port: acked[port] - 1 for port in ends} == ends


def test_one_that_is_over_is_told_from_the_others(connections):
    known = [one.connection for one in connections.all()[0]]
    gone = connections.sockets.pop()
    port = gone.getpeername()[1]
    gone.close()
    connections.sockets.pop().close()
    over = [one.ports for one, info in zip(known, connections.look(known), strict=True) if info is None]
    assert len(over) == 2
    assert all(port in pair for pair in over)


def test_a_look_that_failed_leaves_nothing_to_the_next(connections, monkeypatch):
    known = [one.connection for one in connections.all()[0]]
    expected = connections.look(known)

    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(tcp_info, "read_answer", refuse)
        with pytest.raises(PermissionError):
            connections.look(known)
    assert [info.bytes_acked for info in connections.look(known)] == [info.bytes_acked for info in expected]
