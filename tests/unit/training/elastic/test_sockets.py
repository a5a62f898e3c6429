"""The connections of a process group end, and no others."""

import socket
from contextlib import ExitStack, contextmanager

import pytest

from harness.training.elastic.sockets import GroupSockets


@contextmanager
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def connected(server, stack):
    """Both ends of a new connection."""
    ours = stack.enter_context(socket.create_connection(server.getsockname()))
    theirs = stack.enter_context(server.accept()[0])
    theirs.settimeout(5)
    return ours, theirs


def is_open(ours, theirs):
    try:
        ours.sendall(b"x")
        return theirs.recv(1) == b"x"
    except OSError:
        return False


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def test_what_was_opened_meanwhile_ends_and_nothing_else(stack):
    server, store = stack.enter_context(listening()), stack.enter_context(listening())
    before = connected(server, stack)
    sockets = GroupSockets(store.getsockname()[1])
    mine, of_the_store = connected(server, stack), connected(store, stack)
    beside = socket.socketpair()
    sockets.note()
    after = connected(server, stack)
    sockets.shut_down()
    assert [is_open(*one) for one in (mine, before, of_the_store, beside, after)] == [False, True, True, True, True]
    sockets.shut_down()
    server.settimeout(5)
    assert is_open(*connected(server, stack))  # it listens as before
    for one in beside:
        one.close()
