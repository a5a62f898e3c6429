"""Pauses of nodes that end with the process that began them, even if it is killed, so that no rank stays paused."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable

_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Pauses:
    """Remembers paused nodes in a guard process, which resumes them if ours is killed.

    Args:
        send: sends a signal to the programs of a node.
    """

    def __init__(self, send: Callable[[int, signal.Signals], None]) -> None:
        self._send = send
        self._ranks: set[int] = set()
        self._guard: tuple[int, int] | None = None
        """The guard's process id, and the pipe on which it learns which nodes are paused."""

    def begin(self, ranks: Iterable[int]) -> None:
        """Pause these nodes. Raises what ``send`` raises."""
        for rank in ranks:
            self._say(b"+", rank)
            self._ranks.add(rank)
            self._send(rank, signal.SIGSTOP)

    def end(self, ranks: Iterable[int]) -> None:
        """Resume these nodes. Raises what ``send`` raises."""
        for rank in self._ranks.intersection(ranks):
            self._send(rank, signal.SIGCONT)
            self._ranks.remove(rank)
            self._say(b"-", rank)
        if not self._ranks and self._guard is not None:
            (pid, pipe), self._guard = self._guard, None
            os.close(pipe)
            os.waitpid(pid, 0)

    def _say(self, what: bytes, rank: int) -> None:
        if self._guard is None:
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(writer)
                _guard(reader, self._send)
            os.close(reader)
            self._guard = pid, writer
        os.write(self._guard[1], b"%c%d\n" % (what, rank))


def _guard(reader: int, send: Callable[[int, signal.Signals], None]) -> None:
    """Wait until the pipe is closed, and resume the nodes that are paused then; never returns."""
    try:
        os.setsid()
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        paused: set[int] = set()
        with open(reader, "rb") as lines:
            for line in lines:
                (paused.add if line[:1] == b"+" else paused.discard)(int(line[1:]))
        for rank in paused:
            with contextlib.suppress(Exception):  # the network may be gone
                send(rank, signal.SIGCONT)
    finally:
        os._exit(0)
