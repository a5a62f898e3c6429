"""The namespaces that a keeper holds, and how a process enters them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Never

from harness.errors import InputError, NetworkStateError, UnavailableError
from harness.linux import host, syscalls
from harness.model.address import node_name


@dataclass(frozen=True)
class Keeper:
    """A running keeper.

    Args:
        pid: its process id, as we see it.
        start: its start time in clock ticks, to recognise another process with the same id.
        rootless: whether its namespaces belong to a user namespace of their own.
        bridge: its file descriptor of the bridge's network namespace.
        nodes: its file descriptors of the nodes' network namespaces, by rank.
        firsts: process ids, as it sees them, of the nodes' first processes, by rank.
    """

    pid: int
    start: int
    rootless: bool
    bridge: int
    nodes: tuple[int, ...]
    firsts: tuple[int, ...]

    @property
    def alive(self) -> bool:
        """Whether it runs and is not ending: the kernel closes the files of an ending process first."""
        return start_time(self.pid) == self.start and os.path.exists(f"/proc/{self.pid}/fd/{self.bridge}")

    def open(self, path: str) -> int:
        """Open a file of its /proc folder, e.g. ``fd/4`` or ``ns/user``. Raises NetworkStateError, UnavailableError."""
        try:
            return os.open(f"/proc/{self.pid}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as problem:
            if host.open_files_remedy(problem.errno):
                raise UnavailableError(f"cannot enter the nodes: {host.explain(problem)}") from None
            raise NetworkStateError(f"the network's keeper (process {self.pid}) cannot be entered: {problem}") from None

    @contextlib.contextmanager
    def namespaces(self, ranks: Iterable[int]) -> Iterator[list[int]]:
        """File descriptors of these nodes' network namespaces."""
        with contextlib.ExitStack() as stack:
            opened = []
            for rank in ranks:
                opened.append(self.open(f"fd/{self.nodes[rank]}"))
                stack.callback(os.close, opened[-1])
            yield opened

    def enter_user(self) -> None:
        """Move this process, which must be single-threaded, into the keeper's user namespace, where it has one."""
        if self.rootless:
            fd = self.open("ns/user")
            syscalls.setns(fd, syscalls.CLONE_NEWUSER)
            os.close(fd)

    @contextlib.contextmanager
    def entrance(
        self, rank: int, folder: str | None = None, inside: Callable[[], None] = lambda: None
    ) -> Iterator[Callable[[], None]]:
        """A function that a forked child calls just before exec, to become a process of a node.

        Only a further child can be in the PID namespace, so the caller's child stays outside as a proxy that passes on
        the exit code (128 + signal number for a signal).

        Args:
            rank: the node.
            folder: where the process starts; None: in our current folder.
            inside: called in the node at last.

        Raises:
            InputError: our current folder is gone.
            NetworkStateError, UnavailableError: the node cannot be entered.
        """
        user = [("ns/user", syscalls.CLONE_NEWUSER)] if self.rootless else []
        net = (f"fd/{self.nodes[rank]}", syscalls.CLONE_NEWNET)
        first = f"root/proc/{self.firsts[rank]}/ns"
        kinds = [*user, net, (f"{first}/mnt", syscalls.CLONE_NEWNS), (f"{first}/pid", syscalls.CLONE_NEWPID)]
        fds: list[tuple[int, int]] = []
        try:
            directory = folder or os.getcwd()
        except OSError as problem:
            raise InputError(
                f"programs in nodes start in the current folder, which is gone ({problem.strerror}); cd to another"
            ) from None

        def enter() -> None:
            for fd, kind in fds:
                syscalls.setns(fd, kind)
            syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS)
            socket.sethostname(node_name(rank))
            with contextlib.suppress(OSError):  # optional: /sys/class/net then shows the node's own interfaces
                syscalls.mount("sysfs", "/sys", "sysfs", syscalls.MS_NOSUID_NODEV_NOEXEC)
            os.chdir(directory)
            syscalls.die_with_parent()
            child = os.fork()
            if child:
                _proxy(child)
            syscalls.die_with_parent()
            inside()
            host.restore_open_files()

        with contextlib.ExitStack() as stack:
            try:
                for path, kind in kinds:
                    fds.append((self.open(path), kind))
                    stack.callback(os.close, fds[-1][0])
            except NetworkStateError:
                lives = all(os.path.exists(f"/proc/{self.pid}/{first}/{kind}") for kind in ("mnt", "pid"))
                if lives or not self.alive:
                    raise
                raise NetworkStateError(
                    f"the first process of node {rank} was killed, and all that ran there; 'harness down' and 'up'"
                ) from None
            yield enter


def start_time(pid: int) -> int | None:
    """A process's start time in clock ticks since boot; None where it does not run."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _proxy(child: int) -> Never:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.closerange(0, 1 << 20)
    status = os.waitpid(child, 0)[1]
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)
