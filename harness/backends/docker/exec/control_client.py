"""Connects standard input and output with the agent of this container: what ``docker exec`` runs there.

Its source is sent (``python3 -c``), so it needs no module of ours.
"""

import os
import socket
import sys
import threading


def _listen(door: socket.socket) -> None:
    while data := door.recv(1 << 16):
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]
    os._exit(0)


def knock(address: str) -> None:
    """Pass lines on, both ways, until either end is gone."""
    door = socket.socket(socket.AF_UNIX)
    try:
        door.connect(address)
    except OSError as problem:
        sys.exit(f"its agent does not answer ({problem.strerror})")
    threading.Thread(target=_listen, args=(door,), daemon=True).start()
    while data := os.read(0, 1 << 16):
        door.sendall(data)


if __name__ == "__main__":
    knock("\0tc-harness-agent")
