"""A program that the command line starts in a node on another machine, as ``docker exec`` does on this one."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence

from harness.agent.job import user_of
from harness.errors import HarnessError


def start_program(argv: Sequence[str]) -> socket.socket:
    """Start it as the user of jobs, without privileges; the other end of its standard input and output.

    It does not get the connection that asked for it: that is root's, whom rules let pass wherever it is connected to.
    What it says on standard error stands in the log of this container. Nobody waits for it: it ends when it notices
    that the other end is closed, and process 1 takes note.

    Args:
        argv: the program and its arguments.

    Raises:
        HarnessError: it cannot be started.
    """
    uid, gid = user_of()
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            list(argv),
            env={**os.environ, "HOME": "/tmp"},
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=[],
        )
    except OSError as problem:
        ours.close()
        raise HarnessError(f"cannot start {argv[0]!r}: {problem.strerror}") from None
    finally:
        theirs.close()
    process.returncode = 0  # so that subprocess does not wait for it either: another may have its number by then
    return ours
