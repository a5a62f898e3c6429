"""A TCP connection that sends as much as it can, for use in a node: ``serve PORT``, or ``send ADDRESS PORT SECONDS``.

The sender prints what the kernel says of it at its end (linux/tcp.h, struct tcp_info), as JSON.
"""

import contextlib
import json
import socket
import struct
import sys
import time

ECN = 8


def serve(port):
    """Take one connection of any version of IP, and read it to its end."""
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        print("ready", flush=True)
        connection, _ = listener.accept()
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(1 << 20):
                pass


def send(address, port, seconds):
    """Send for so long; 0: only connect."""
    connection = socket.create_connection((address, port), timeout=10)
    end, data, sent = time.monotonic() + seconds, bytes(1 << 16), 0
    while time.monotonic() < end:
        sent += connection.send(data)
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    acked = struct.unpack_from("=Q", info, 120)[0]
    retransmits, marked = (struct.unpack_from("=I", info, at)[0] for at in (100, 196))
    told = {"ecn": bool(info[5] & ECN), "acked": acked, "retransmits": retransmits, "marked": marked}
    print(json.dumps(told), flush=True)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leave nothing to be sent


if __name__ == "__main__":
    serve(int(sys.argv[2])) if sys.argv[1] == "serve" else send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
