"""Limits of open files, whether there is IPv6, and errors of the operating system in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from typing import Final

_AT_START: Final = resource.getrlimit(resource.RLIMIT_NOFILE)
_REMEDIES: Final = {
    errno.EMFILE: "allow this user more open files, e.g. 'ulimit -n 65536' (a node takes one, a program in it three)",
    errno.ENFILE: "allow the machine more open files: sysctl -w fs.file-max=1000000",
}


def raise_open_files() -> None:
    """Let this process open as many files as the hard limit allows: every node takes one."""
    hard = _AT_START[1]
    with contextlib.suppress(OSError, ValueError):  # the limit stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def restore_open_files() -> None:
    """Restore the limit that we started with, in a child that becomes the user's program."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, _AT_START)


def open_files_remedy(code: int | None) -> str:
    """How to fix an error that means too many open files; "" for other errors."""
    return _REMEDIES.get(code or 0, "")


def explain(problem: OSError) -> str:
    """An error of the operating system in one line, with its file and how to fix it."""
    text = problem.strerror or str(problem) or type(problem).__name__
    if problem.filename is not None:
        text = f"{os.fsdecode(problem.filename)}: {text}"
    remedy = open_files_remedy(problem.errno)
    return f"{text}; {remedy}" if remedy else text


def has_ipv6(sysctls: str = "/proc/sys") -> bool:
    """Whether the current network namespace has IPv6; a host booted with ipv6.disable=1 has none."""
    return os.path.isdir(f"{sysctls}/net/ipv6")
