"""Connects standard input and output with the agent of this container: what ``docker exec`` runs there.

Its source is sent (``python3 -c``), so it needs no module of ours. Without ``import socket``, which takes 10 ms of a
core in every container that a command asks; its C part is all that this needs.
"""

import _socket
import os
import select
import sys

CHUNK = 1 << 16


def pass_on(address: str) -> None:
    """Pass bytes on, both ways, until either end is gone."""
    agent = _socket.socket(_socket.AF_UNIX)
    try:
        agent.connect(address)
    except OSError as problem:
        sys.exit(f"its agent does not answer ({problem.strerror})")
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(agent.fileno(), select.POLLIN)
    try:
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if 0 in ready:
                data = os.read(0, CHUNK)
                if not data:
                    return
                agent.sendall(data)
            if agent.fileno() in ready:
                data = agent.recv(CHUNK)
                if not data:
                    return
                while data:
                    data = data[os.write(1, data) :]
    except OSError:  # one of them ended while it had something to read
        return


if __name__ == "__main__":
    pass_on("\0tc-harness-agent")
