"""What the kernel has counted of TCP here: real traffic over loopback makes it grow."""

import socket

from harness.linux.tcp import tcp_counters


def test_segments_that_are_sent_are_counted():
    before = tcp_counters()
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(10):
            with socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
                client.sendall(b"hello")
                assert accepted.recv(16) == b"hello"
    after = tcp_counters()
    assert after.sent_segments >= before.sent_segments + 40
    assert after.retransmitted_segments >= before.retransmitted_segments
