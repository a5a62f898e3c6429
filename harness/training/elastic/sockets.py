"""Ends the connections of a process group, because gloo cannot abort collectives.

ProcessGroupGloo has no abort (torch 2.13): if a rank leaves a group to which something still refers, e.g. a collective
that is under way, its connections stay open, and its peers wait for their timeout. When a connection is shut down, all
that waits for it fails at once, on both sides.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

_FOLDER: Final = "/proc/self/fd"
_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)


class GroupSockets:
    """The sockets that a process group opens between the constructor and ``note``.

    Args:
        store_port: of the store; connections to it are not the group's.
    """

    def __init__(self, store_port: int) -> None:
        self._port = store_port
        self._mine: set[str] = set()
        self._before = set(_sockets())

    def note(self) -> None:
        """Note the sockets that were opened since the constructor."""
        self._mine = set(_sockets()) - self._before

    def shut_down(self) -> None:
        """Shut down these connections, from any thread; without effect after the first time."""
        for name, number in _sockets().items():
            if name in self._mine:
                with contextlib.suppress(OSError):
                    self._shut_down(name, number)

    def _shut_down(self, name: str, number: int) -> None:
        with socket.socket(fileno=os.dup(number)) as one:
            if _name(one.fileno()) != name or one.family not in _INTERNET:
                return
            if self._port not in (one.getpeername()[1], one.getsockname()[1]):
                one.shutdown(socket.SHUT_RDWR)


def _name(number: int) -> str:
    return os.readlink(f"{_FOLDER}/{number}")


def _sockets() -> dict[str, int]:
    """The open sockets of this process, by a unique name: ``socket:[12345]``."""
    found = {}
    for number in os.listdir(_FOLDER):
        with contextlib.suppress(OSError):
            if (name := _name(int(number))).startswith("socket:"):
                found[name] = int(number)
    return found
