"""Where the shaper daemon of a network namespace listens; see control.py.

The supervisor binds the address and passes the listening socket to every daemon that it starts: so requests wait while
no daemon runs, and a job, which shares the namespace in a container, cannot take the address.

It needs only the standard library, and imports fast.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from harness.linux import syscalls

ADDRESS: Final = "\0tc-harness-links"
"""Abstract: it needs no path, and vanishes with its owner."""


def listen() -> socket.socket:
    """The listening end, in the current network namespace. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    listener.bind(ADDRESS)
    listener.listen(16)
    return listener


def listen_in(namespace: int | None) -> socket.socket:
    """The same in the network namespace of a file descriptor; None: the current one. Raises OSError."""
    if namespace is None:
        return listen()
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        syscalls.setns(namespace, syscalls.CLONE_NEWNET)
        return listen()
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)
