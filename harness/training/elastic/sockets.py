"""The connections of a process group, to end them: gloo cannot abort what is under way.

ProcessGroupGloo has no abort (torch 2.13): a rank that leaves a group while something still refers to it, like work
that is under way, keeps its connections open, and its peers wait for their timeout. A connection that is shut down
makes all that waits for it fail at once, here and on the other side.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

_FOLDER: Final = "/proc/self/fd"
_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)


class GroupSockets:
    """What a process group opens between the constructor and ``note``.

    Args:
        store_port: of the store, whose connections are not the group's.
    """

    def __init__(self, store_port: int) -> None:
        self._port = store_port
        self._mine: set[str] = set()
        self._before = set(_sockets())

    def note(self) -> None:
        """Note what was opened since."""
        self._mine = set(_sockets()) - self._before

    def shut_down(self) -> None:
        """Shut down these connections; from any thread, and again without effect."""
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
    """The open sockets of this process, by a name that no other one has: ``socket:[12345]``."""
    found = {}
    for number in os.listdir(_FOLDER):
        with contextlib.suppress(OSError):
            if (name := _name(int(number))).startswith("socket:"):
                found[name] = int(number)
    return found
