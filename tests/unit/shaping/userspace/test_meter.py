"""A meter reads the memory that a shaper daemon counts in; a thread stands for the daemon here."""

import os
import socket
import struct
import threading

import pytest

from harness.errors import UnavailableError
from harness.shaping.userspace import control, control_address
from harness.shaping.userspace.counters import BACKLOG_BYTES
from harness.shaping.userspace.meter import UserspaceMeter
from harness.shaping.userspace.state import EVENTS, State


@pytest.fixture
def state():
    fd = os.memfd_create("links")
    yield State(fd, 8)
    os.close(fd)


@pytest.fixture
def files(state):
    """What comes with the daemon's answer."""
    return [state.readable()]


@pytest.fixture
def daemon(files, monkeypatch):
    """One of two nodes, the second, of four: its counters begin at number 4."""
    address = f"\0test-meter-{os.getpid()}"
    monkeypatch.setattr(control_address, "ADDRESS", address)
    monkeypatch.setattr(control, "ADDRESS", address)
    with control_address.listen() as listener:
        listener.setblocking(True)

        def serve():
            connection, _ = listener.accept()
            with connection:
                assert b'"share"' in connection.recv(1000)
                socket.send_fds(connection, [b'{"slots": 8, "first": 4, "caps": 5}\n'], files)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join()


def test_counters_are_read_while_the_daemon_counts_on(state, daemon):
    meter = UserspaceMeter([0, 3])
    counters = state.counters(4 + 3)
    for packets in (1, 7):
        counters[:] = memoryview(bytes(40)).cast("Q")
        counters[0], counters[1], counters[2], counters[BACKLOG_BYTES] = packets, 1500 * packets, 2, 3000
        assert meter.read() == {0: (0, 0, 0, 0, 0), 3: (packets, 1500 * packets, 2, 3000, 0)}
    state.counters(2)[:] = memoryview(struct.pack("=5Q", 5, 7570, 1, 3028, 2)).cast("B").cast("Q")
    assert meter.caps() == {}
    state.save(5, {"orders": [], "slots": {"downlink": 2}})
    assert meter.caps() == {"downlink": (5, 7570, 1, 3028, 2)}
    state.save(EVENTS, ["12:00:00: the shaper daemon was killed"])
    assert meter.notes() == ["12:00:00: the shaper daemon was killed"]
    meter.close()


@pytest.mark.parametrize("files", [[]])
def test_a_daemon_of_an_older_version_does_not_share(daemon):
    with pytest.raises(UnavailableError, match="'harness down' and 'up' again"):
        UserspaceMeter([0])


def test_what_is_shared_cannot_be_written(state):
    with pytest.raises(TypeError, match="read-only"):
        State(state.readable(), 8, writable=False).counters(0)[0] = 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(state.readable(), b"x", 0)
