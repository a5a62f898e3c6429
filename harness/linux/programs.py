"""All programs of a node, whoever started them, but not what belongs to the network; signals to them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Final

HELPER: Final = "harness-inside"
"""Stands among the arguments of what harness runs in a node beside the job: it keeps a load, measures, passes on."""

_LOOKS: Final = 5
_LOOK_S: Final = 0.001


def signal_programs(proc: str, number: signal.Signals, wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Send a signal to all programs in a PID namespace; see each_program.

    Args:
        proc: a /proc of that namespace, as we see it: a process is found and signalled by one file of it, so no other
            one that gets its number is taken for it.
        number: the signal.
        wanted: whether a process is meant, by its folder in there.

    Raises:
        OSError: there is no such folder.
        PermissionError: a program may not be signalled.
    """
    each_program(proc, lambda process, _: signal.pidfd_send_signal(process, number), wanted)


def each_program(proc: str, do: Callable[[int, int], None], wanted: Callable[[str], bool]) -> None:
    """Do something with each program that a /proc shows but the first process and HELPERs; also with those that are
    started meanwhile by others that it does not reach at once.

    Args:
        proc: its path.
        do: is given the open folder of a process, and its number; one that has ended meanwhile does not count.
        wanted: whether a process is meant, by its folder in there.

    Raises:
        OSError: there is no such folder, or what ``do`` raises.
    """
    seen: set[str] = set()
    while fresh := [entry for entry in os.listdir(proc) if entry.isdigit() and entry != "1" and entry not in seen]:
        seen.update(fresh)
        for entry in fresh:
            folder = f"{proc}/{entry}"
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if not wanted(folder):  # asked first, for most are not and need no open file
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
        time.sleep(_LOOK_S)  # a program that is being started has no arguments for a moment
    return False
