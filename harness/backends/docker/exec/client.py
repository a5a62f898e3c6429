"""Runs a program in a container, and passes on its streams, signals and exit code as if it ran on this machine.

    client.py CONTAINER SERVICE WHOSE USER CWD ARGV...

WHOSE names the node in messages; CWD may be empty; HARNESS_PROGRAM_NAME=value becomes NAME=value. SERVICE is empty, or
the Swarm service of a node on another machine, e.g. NAME_rank-5: then CONTAINER connects to it, and that node's agent
starts the program (remote.py), as the user that it knows.

Docker's own exec passes on no signals, and the program outlives its client. So this process starts shim.py in the
container (any image with Python 3.8 will do) and exchanges frames with it (described there). When this process ends,
even if it is killed, the connection ends, and with it the program. Where our input and output are a terminal, the
program gets one, too. It needs only the standard library, and runs with ``-I -S`` to start fast.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.append(
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
    )

import contextlib
import signal
import termios
import tty
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from harness.backends.docker.daemon import DockerDaemon
from harness.backends.docker.exec.connection import ExecSocket
from harness.backends.docker.exec.streams import BOOT, StreamForwarder
from harness.errors import HarnessError
from harness.linux.programs import HELPER
from harness.linux.syscalls import die_with_parent

_PREFIX: Final = "HARNESS_PROGRAM_"


def client_command(
    container: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    whose: str | None = None,
    user: str = "1000:1000",
    cwd: str | None = None,
    service: str = "",
) -> tuple[list[str], dict[str, str]]:
    """The command to start on this machine: its arguments and its whole environment.

    The program's variables are in the environment, which only its owner and root may read, unlike arguments.

    Args:
        container: name or id.
        argv: the program and its arguments.
        env: its variables, beside the container's own.
        whose: what messages call the container, e.g. ``"node 1"``; None: by its id.
        user: ``uid:gid`` in the container.
        cwd: its working directory; None: the container's.
        service: of a node on another machine, to which the container connects.
    """
    whose = whose or f"container {container[:12]}"
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    theirs = {_PREFIX + name: value for name, value in env.items()}
    command = [sys.executable, "-I", "-S", os.path.abspath(__file__)]
    command += [container, service, whose, user, cwd or "", *argv]
    return command, ours | theirs


def _on_terminal() -> bool:
    """Whether our input and output are a terminal, and we are in the foreground: others must not touch it."""
    try:
        return os.isatty(0) and os.isatty(1) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # not our session's terminal
        return False


@contextlib.contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    """Set our terminal to raw mode for the block."""
    if not wanted:
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0, termios.TCSADRAIN)
        yield
    finally:
        with contextlib.suppress(termios.error):  # it hung up
            termios.tcsetattr(0, termios.TCSADRAIN, before)


def _run(container: str, service: str, whose: str, user: str, cwd: str, argv: Sequence[str]) -> int:
    """The exit code of the program."""
    env = {name[len(_PREFIX) :]: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    process = _wrapper(container, service, whose, user)
    relay = StreamForwarder(process.socket, process.early, _on_terminal())
    relay.start(argv, env, cwd or None)
    with _raw(relay.terminal):
        relay.run()
    if relay.code is not None:
        return relay.code
    code = None if service else process.exit_code()
    cause = "the connection to it ended" if code is None else f"it was killed with its wrapper (exit code {code})"
    print(f"{whose}: {argv[0]!r}: {cause}; did the container stop?", file=sys.stderr)
    return code or HarnessError.exit_code


def _wrapper(container: str, service: str, whose: str, user: str) -> ExecSocket:
    argv, daemon = ["python3", "-I", "-S", "-c", BOOT, HELPER], DockerDaemon(os.environ)
    if not service:
        return ExecSocket(daemon, container, user, argv, whose)
    from harness.backends.docker.exec.remote import start_remotely

    return start_remotely(daemon, container, service, argv)


def main(container: str, service: str, whose: str, user: str, cwd: str, *argv: str) -> int:
    """Be the program that the arguments name; its exit code."""
    if not _on_terminal():  # which a sudden end would leave raw
        die_with_parent()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return _run(container, service, whose, user, cwd, argv)
    except HarnessError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code


if __name__ == "__main__":
    os._exit(main(*sys.argv[1:]))
