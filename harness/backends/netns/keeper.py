"""The process that a network lives in: ``keeper.py NODES FILES [DAEMON [TOGETHER]]``.

It is process 1 of a PID namespace, so when it is killed the kernel kills everything that runs in the network's nodes;
and it holds the only references to the nodes' network namespaces, so they vanish with it. It ends when its standard
input is closed, because the command that made the network was killed, unless a byte came before: ``harness up`` sends
one when the network is complete.

Every node has a PID namespace below the keeper's, with a first process that only waits: a program that kills all it can
see reaches the programs of its own node, and no engine.

It answers in JSON on standard output: its process id as the command that made the network sees it, the file descriptors
of the nodes' network namespaces, and the process ids of the nodes' first processes, as it sees them. DAEMON is a module
whose ``Supervisor(namespaces by rank).run(lifeline)`` keeps the user-space engine's daemons alive. TOGETHER lists, in
JSON, groups of ranks that must have the same daemon. FILES is a file descriptor, from which it reads the contents of
files that nodes see instead of the host's, by path in JSON.

Until the byte comes, its standard error is that of the command that made the network, and shows what happens to the
daemons.

It needs only the standard library, and runs with ``-I -S`` to start fast.
"""

import contextlib
import errno
import importlib
import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from harness.linux import host, syscalls


def first_stage(*arguments: str) -> None:
    """Enter new namespaces, and execute the keeper as process 1 of the PID namespace.

    It needs the exec, because before one the kernel hides the /proc files of a process that has gained privileges in a
    user namespace.
    """
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET
    rootless = syscalls.unshare_as_root_or_not(flags)
    child = os.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-I", "-S", os.path.abspath(__file__), "--second-stage", *arguments])
    answer(pid=child, rootless=rootless)


def second_stage(nodes: int, files: int, daemon_module: str = "", together: str = "[]") -> None:
    """Make the nodes' namespaces and hold them until standard input is closed."""
    host.raise_open_files()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    with open(files) as file:
        cover(json.load(file))
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID_NODEV_NOEXEC)
    bridge = os.open("/proc/self/ns/net", os.O_RDONLY)
    held = []
    for _ in range(nodes):
        syscalls.unshare(syscalls.CLONE_NEWNET)
        held.append(os.open("/proc/self/ns/net", os.O_RDONLY))
    syscalls.setns(bridge, syscalls.CLONE_NEWNET)
    firsts = first_processes(nodes)
    supervisor = None
    if daemon_module:
        groups = json.loads(together)
        supervisor = importlib.import_module(daemon_module).Supervisor(dict(enumerate(held)), together=groups)
    answer(bridge=bridge, nodes=held, firsts=firsts)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if supervisor:
        supervisor.run(0)
    elif os.read(0, 1):
        while True:
            signal.pause()


def answer(**facts: object) -> None:
    """Answer the command that makes the network; end silently where that has ended."""
    try:
        os.write(1, json.dumps(facts).encode() + b"\n")
    except BrokenPipeError:
        os._exit(1)


def first_processes(nodes: int) -> list[int]:
    """Start one per node, in a PID namespace of its own with its own /proc; it adopts orphaned processes there."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    reader, writer = os.pipe()
    pids = []
    with open("/proc/sys/kernel/pid_max") as file:
        most = int(file.read())
    for rank in range(nodes):
        syscalls.unshare(syscalls.CLONE_NEWPID)
        pids.append(os.fork())
        if pids[-1] == 0:
            wait_as_first(writer, rank * most // nodes)
        syscalls.setns(own, syscalls.CLONE_NEWPID)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        errors = answers.read(nodes)
    os.close(own)
    if len(errors) < nodes or any(errors):
        code = max(errors, default=0) or errno.EIO
        raise OSError(code, f"start the nodes' first processes: {os.strerror(code)}")
    return pids


def wait_as_first(writer: int, start: int) -> None:
    """Be a node's first process; never returns. Writes one byte: 0, or the error number.

    The node's process ids begin at ``start``, so that nodes have different ones: programs use them in the names of
    files in /tmp and /dev/shm, which nodes share with the host.
    """
    code = 0
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID_NODEV_NOEXEC)
        with contextlib.suppress(OSError), open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(max(1, start)))  # a kernel without CONFIG_CHECKPOINT_RESTORE has no such file
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
    except OSError as problem:
        code = problem.errno or errno.EIO
    os.write(writer, bytes((code,)))
    os.closerange(3, 1 << 20)
    while not code:
        signal.pause()
    os._exit(1)


def cover(files: dict[str, str]) -> None:
    """Mount these contents over the host's files, for programs in the nodes; files that the host lacks stay missing.

    The contents are in a tmpfs, which is mounted on /proc for a moment, a folder that always exists.
    """
    syscalls.mount("tmpfs", "/proc", "tmpfs", syscalls.MS_NOSUID_NODEV_NOEXEC)
    for number, (path, content) in enumerate(files.items()):
        if os.path.exists(path):
            source = f"/proc/{number}"
            with open(source, "w") as file:
                file.write(content)
            os.chmod(source, 0o644)
            syscalls.mount(source, path, "", syscalls.MS_BIND)
    syscalls.unmount("/proc")


if __name__ == "__main__":
    try:
        if sys.argv[1] == "--second-stage":
            second_stage(int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
        else:
            first_stage(*sys.argv[1:])
    except OSError as problem:
        answer(error=problem.strerror, errno=problem.errno)
        sys.exit(1)
