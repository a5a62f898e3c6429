"""Finds and signals all programs of a node, whoever started them, except those that belong to the network."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Final

HELPER: Final = "harness-inside"
"""An argument that marks the programs that harness itself runs in a node beside the job: loads, probes, proxies."""

_LOOKS: Final = 5
_LOOK_S: Final = 0.001


def signal_programs(proc: str, number: signal.Signals, wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Send a signal to all programs in a PID namespace; see each_program.

    Args:
        proc: the namespace's /proc; a process is signalled by its open folder there, so that another process with the
            same id is not hit.
        number: the signal.
        wanted: whether to signal a process, by its folder in ``proc``.

    Raises:
        OSError: there is no such folder.
        PermissionError: a program may not be signalled.
    """
    each_program(proc, lambda process, _: signal.pidfd_send_signal(process, number), wanted)


def each_program(proc: str, do: Callable[[int, int], None], wanted: Callable[[str], bool]) -> None:
    """Call ``do`` for each program in a /proc, except the first process and HELPERs; also for programs that others
    start meanwhile.

    Args:
        proc: the path of the /proc.
        do: takes the open folder of a process, and its id; it may raise ProcessLookupError for one that has ended.
        wanted: whether a process is meant, by its folder in ``proc``.

    Raises:
        OSError: there is no such folder, or what ``do`` raises.
    """
    seen: set[str] = set()
    while fresh := [entry for entry in os.listdir(proc) if entry.isdigit() and entry != "1" and entry not in seen]:
        seen.update(fresh)
        for entry in fresh:
            folder = f"{proc}/{entry}"
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if not wanted(folder):  # first without opening it, because most are not
                    continue
                with _opened(folder) as process:
                    if wanted(folder) and not _is_helper(process):
                        do(process, int(entry))


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _is_helper(process: int) -> bool:
    for _ in range(_LOOKS):
        with open("cmdline", "rb", opener=lambda name, flags: os.open(name, flags, dir_fd=process)) as file:
            if arguments := file.read():
                return HELPER.encode() in arguments.split(b"\0")
        time.sleep(_LOOK_S)  # a program that is starting has no arguments for a moment
    return False
