"""A real socket that reads only some of its packets and counts all."""

import socket

import pytest

from harness.verify.node.sampling import ROOM, SkippedPackets


@pytest.fixture
def ends():
    with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
        b.bind(("127.0.0.1", 0))
        b.setblocking(False)
        a.connect(b.getsockname())
        yield a, b


def drained(receiver, sampling):
    """Packets that were read, and all that came up to the last of those."""
    read = skipped = 0
    while True:
        try:
            _, ancillary, _, _ = receiver.recvmsg(100, ROOM)
        except BlockingIOError:
            return read, read + skipped
        read, skipped = read + 1, skipped + sampling.skipped(ancillary)


@pytest.mark.parametrize("one_in", [2, 16])
def test_some_are_read_and_all_are_counted(ends, one_in):
    sender, receiver = ends
    sampling = SkippedPackets(receiver)
    assert sampling.start(one_in)
    read = known = 0
    for _ in range(400):
        for _ in range(10):
            sender.send(b"x")
        more, came = drained(receiver, sampling)
        read, known = read + more, known + came
    assert known + sampling.skipped_since() == 4000
    assert read == pytest.approx(4000 / one_in, rel=0.4)


def test_packets_that_find_the_buffer_full_are_counted_too(ends):
    sender, receiver = ends
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
    sampling = SkippedPackets(receiver)
    assert sampling.start(2)
    for _ in range(1000):
        sender.send(b"x" * 50)
    read, known = drained(receiver, sampling)
    assert read < 100
    assert known + sampling.skipped_since() == 1000


def test_start_resets_the_count_and_stop_reads_all(ends):
    sender, receiver = ends
    sampling = SkippedPackets(receiver)
    for one_in in (4, 4):
        assert sampling.start(one_in)
        for _ in range(40):
            sender.send(b"x")
        _, known = drained(receiver, sampling)
        assert known + sampling.skipped_since() == 40
    sampling.stop()
    for _ in range(40):
        sender.send(b"x")
    assert drained(receiver, sampling) == (40, 40)
    assert sampling.skipped_since() == 0
