"""Keeps the shaper daemons alive: one for every two CPUs, each with its share of the nodes; those together that share a
trunk.

One that ends is started again at once; one that stands still (stopped, or in a loop) is killed first. Until the new
one has its queues the kernel drops every packet of its nodes: links go down, they do not become fast.

Needs nothing but the standard library, and is imported by the first process of a network or container.
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
"""A process that has not shown a sign of life for so long is killed."""
START_SECONDS: Final = 60.0
"""One that was started has so long for its first: on two busy CPUs, 64 containers at once start theirs in over 5 s, and
who kills those has as many to start again."""
_POLL_SECONDS: Final = 1.0
_SHORT_LIFE: Final = 1.0
_PAUSE: Final = 0.5
MAX_CONVERSATIONS: Final = 128
"""How many a shaper daemon has at a time; each takes a file."""
_OTHER_FILES: Final = 32 + MAX_CONVERSATIONS
"""Files that a worker opens beside the namespaces and control sockets of all nodes, and for each of its own a queue and
the kernel's counters."""
_DAEMON: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "daemon.py")


class _Worker:
    def __init__(self, nodes: Mapping[int, int | None], size: int) -> None:
        self.ranks, namespaces, self.size = list(nodes), list(nodes.values()), size
        self.namespaces = namespaces
        self.state = os.memfd_create("links")
        self.listeners = [listen_in(namespace) for namespace in namespaces]
        for fd in (self.state, *namespaces, *(listener.fileno() for listener in self.listeners)):
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
        """Whether it shows no sign of life."""
        beat = int.from_bytes(os.pread(self.state, 8, 0), "little") / 1e9
        patience = STILL_SECONDS if beat > self.born else START_SECONDS
        return time.monotonic() - max(beat, self.started) > patience


class Supervisor:
    """All of them. Raises OSError where this process may not open as many files as they need.

    Args:
        namespaces: file descriptors of the nodes' network namespaces, by rank; None: the one that we are in.
        size: nodes of the whole network; as many as there are namespaces unless given.
        together: groups of ranks of which each must be in one process; no rank is in two.
    """

    def __init__(
        self, namespaces: Mapping[int, int | None], size: int | None = None, together: Iterable[Sequence[int]] = ()
    ) -> None:
        size, parts = size or len(namespaces), shares(namespaces, together, len(os.sched_getaffinity(0)) // 2)
        needed = 2 * (len(namespaces) + max(map(len, parts))) + _OTHER_FILES
        if needed > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self._workers = [_Worker({rank: namespaces[rank] for rank in part}, size) for part in parts]
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)

    def run(self, lifeline: int) -> None:
        """Start them and keep them alive, until ``lifeline`` ends before it has given a byte.

        Until that byte comes, what happens to them is printed on standard error.
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
            if looked - before > STILL_SECONDS / 2:  # we stood still, so they may have too: docker pause
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
        """Take note of every child that ended, also of those that were left to us, and start ours again."""
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
    """The ranks in as many parts as there may be, of about one size; groups stay whole."""
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


def _reason(worker: _Worker, status: int) -> str:
    if worker.standing:
        return f"showed no sign of life for {STILL_SECONDS:.0f} s (stopped?)"
    code = os.waitstatus_to_exitcode(status)
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
