"""Starts a program in a node on another machine for the command line, as ``docker exec`` does on this one."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence

from harness.agent.job import user_of
from harness.errors import HarnessError


def start_program(argv: Sequence[str]) -> socket.socket:
    """Start a program as the user of jobs, without privileges; a socket to its standard input and output.

    It does not get the connection that asked for it: that is root's, which user_rules.py lets pass. Its standard error
    is the container's log. Nobody waits for it: it ends when it notices that the other end is closed, and process 1
    reaps it.

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
    process.returncode = 0  # so that subprocess does not wait for it: another process may have its number by then
    return ours
