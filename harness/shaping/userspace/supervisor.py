"""Keeps the shaper daemons alive: one for every two CPUs, each with its share of the nodes; nodes that share a trunk
have the same daemon.

It restarts a daemon that ends at once, and first kills one that hangs (stopped, or in a loop). Until the new one has
its queues the kernel drops every packet of its nodes: links go down, they do not become fast.

It needs only the standard library, because the first process of a network or container imports it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.shaping.userspace.control_address import listen_in

STILL_SECONDS: Final = 5.0
"""It kills a daemon without a sign of life for so long."""
START_SECONDS: Final = 60.0
"""The same before a daemon's first sign of life: 64 containers that start at once on two busy CPUs take over 5 s."""
_POLL_SECONDS: Final = 1.0
_SHORT_LIFE: Final = 1.0
_PAUSE: Final = 0.5
MAX_CONVERSATIONS: Final = 128
"""How many connections a shaper daemon keeps; each takes a file."""
_OTHER_FILES: Final = 32 + MAX_CONVERSATIONS
"""Files that a daemon opens beside two for every node (namespace, control socket) and two more for each of its own
(queue, counters)."""
_DAEMON: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "daemon.py")


class _Shaper:
    def __init__(self, nodes: Mapping[int, int | None], size: int) -> None:
        self.ranks, self.namespaces, self.size = list(nodes), list(nodes.values()), size
        self.state = os.memfd_create("links")
        self.listeners = [listen_in(namespace) for namespace in self.namespaces]
        for fd in (self.state, *self.namespaces, *(listener.fileno() for listener in self.listeners)):
            if fd is not None:
                os.set_inheritable(fd, True)
        self.pid = 0
        self.born = self.started = 0.0
        self.standing = False

    def start(self, after: str = "") -> None:
        listeners = [listener.fileno() for listener in self.listeners]
        orders = {"namespaces": self.namespaces, "size": self.size, "state": self.state, "listeners": listeners}
        orders |= {"ranks": self.ranks, "parent": os.getpid()}
        self.born = self.started = time.monotonic()
        self.standing = False
        argv = [sys.executable, "-I", "-S", _DAEMON, json.dumps({**orders, "after": after})]
        nothing = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
        self.pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=nothing)

    def still(self) -> bool:
        """Whether it has shown no sign of life for too long."""
        beat = int.from_bytes(os.pread(self.state, 8, 0), "little") / 1e9
        patience = STILL_SECONDS if beat > self.born else START_SECONDS
        return time.monotonic() - max(beat, self.started) > patience


class Supervisor:
    """All shaper daemons. Raises OSError where this process may not open as many files as they need.

    Args:
        namespaces: file descriptors of the nodes' network namespaces, by rank; None: the current one.
        size: nodes of the whole network; None: as many as there are namespaces.
        together: disjoint groups of ranks; each must have one daemon.
    """

    def __init__(
        self, namespaces: Mapping[int, int | None], size: int | None = None, together: Iterable[Sequence[int]] = ()
    ) -> None:
        size, parts = size or len(namespaces), shares(namespaces, together, len(os.sched_getaffinity(0)) // 2)
        needed = 2 * (len(namespaces) + max(map(len, parts))) + _OTHER_FILES
        if needed > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self._workers = [_Shaper({rank: namespaces[rank] for rank in part}, size) for part in parts]
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)

    def run(self, lifeline: int) -> None:
        """Start them and keep them alive until ``lifeline`` is closed, or for ever if a byte comes before that.

        Until that byte comes, it reports daemons that end on standard error.
        """
        woken = self._woken
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for worker in self._workers:
            worker.start()
        watched, looked = select.poll(), time.monotonic()  # select takes file numbers below 1024 only
        for file in (woken.fileno(), lifeline):
            watched.register(file, select.POLLIN)
        while True:
            ready = [file for file, _ in watched.poll(_POLL_SECONDS * 1000)]
            looked, before = time.monotonic(), looked
            if looked - before > STILL_SECONDS / 2:  # we were stopped, and they may have been, too (docker pause)
                for worker in self._workers:
                    worker.started = looked
            if lifeline in ready:
                if not os.read(lifeline, 1):
                    return
                watched.unregister(lifeline)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            if woken.fileno() in ready:
                woken.recv(4096)
            self._reap()
            for worker in self._workers:
                if worker.still():
                    worker.standing = True
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Reap every child, adopted ones too, and start daemons that have ended again."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for worker in self._workers:
                if worker.pid == pid:
                    reason = _reason(worker, status)
                    _say(f"the shaper daemon {reason}: no packet passes until it is started again")
                    if time.monotonic() - worker.started < _SHORT_LIFE:
                        time.sleep(_PAUSE)
                    worker.start(reason)


def shares(ranks: Iterable[int], together: Iterable[Sequence[int]], most: int) -> list[list[int]]:
    """The ranks in at most ``most`` parts of about one size; groups stay whole."""
    groups = [list(group) for group in together]
    grouped = {rank for group in groups for rank in group}
    groups += [[rank] for rank in sorted(ranks) if rank not in grouped]
    parts: list[list[int]] = [[] for _ in range(max(1, min(len(groups), most)))]
    for group in sorted(groups, key=len, reverse=True):
        min(parts, key=len).extend(group)
    return [sorted(part) for part in parts]


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"harness: {text}\n".encode())


def _reason(worker: _Shaper, status: int) -> str:
    if worker.standing:
        return f"showed no sign of life for {STILL_SECONDS:.0f} s (stopped?)"
    code = os.waitstatus_to_exitcode(status)
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
