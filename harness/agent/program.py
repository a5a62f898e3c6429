"""A program that the command line starts in a node on another machine, as ``docker exec`` does on this one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Final

from harness.agent.job import user_of
from harness.errors import HarnessError

STARTED: Final = b"{}\n"
"""The answer; what comes after it is the program's."""


def start_program(connection: int, argv: Sequence[str]) -> None:
    """Start it as the user of jobs, without privileges, with a connection as its standard input and output.

    What it says on standard error stands in the log of this container. Nobody waits for it: it ends when it notices
    that the connection has, and process 1 takes note.

    Args:
        connection: a file descriptor, on which nothing is under way; it blocks from now on.
        argv: the program and its arguments. It says nothing before it is sent something.

    Raises:
        HarnessError: it cannot be started.
    """
    uid, gid = user_of()
    os.set_blocking(connection, True)
    try:
        process = subprocess.Popen(
            list(argv),
            env={**os.environ, "HOME": "/tmp"},
            stdin=connection,
            stdout=connection,
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=[],
        )
    except OSError as problem:
        raise HarnessError(f"cannot start {argv[0]!r}: {problem.strerror}") from None
    process.returncode = 0  # so that subprocess does not wait for it either: another may have its number by then
    os.write(connection, STARTED)
