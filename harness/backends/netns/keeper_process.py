"""Starts and ends the keeper of a network; see keeper.py."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from harness.backends.netns.names import name_files
from harness.backends.netns.namespaces import Keeper, start_time
from harness.errors import HarnessError, PrivilegeError, UnavailableError
from harness.linux import host, signals
from harness.linux.denied import namespaces_denied
from harness.model.plan import NetworkPlan

_KEEPER: Final = Path(__file__).with_name("keeper.py")
_END_SECONDS: Final = 10
_UNWAITED_SECONDS: Final = 0.2
"""How long the kernel's killed processes may usually take to be waited for."""


def start_keeper(plan: NetworkPlan, daemon_module: str | None) -> tuple[Keeper, int]:
    """Start the process that holds the nodes' namespaces.

    Returns:
        The keeper and its lifeline, the end of a pipe: the keeper ends when that is closed before a byte was written.

    Raises:
        PrivilegeError, UnavailableError, HarnessError: namespaces cannot be made.
    """
    reader, writer = os.pipe()
    files = os.memfd_create("names")
    try:
        os.pwrite(files, json.dumps(name_files(plan)).encode(), 0)
        with signals.held():
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(_KEEPER),
                    str(plan.size),
                    str(files),
                    daemon_module or "",
                    json.dumps(plan.trunk_receivers),
                ],
                stdin=reader,
                stdout=subprocess.PIPE,
                stderr=None if daemon_module else subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[files],
                cwd="/",
            )
    finally:
        os.close(reader)
        os.close(files)
    assert process.stdout is not None
    try:
        with process.stdout as answers:
            first, second = _answer(answers.readline()), _answer(answers.readline())
        process.wait()
        pid = first["pid"]
        start = start_time(pid)
        if start is None:
            raise HarnessError(f"the network's keeper (process {pid}) ended at once")
    except BaseException:
        os.close(writer)
        raise
    namespaces, firsts = tuple(second["nodes"]), tuple(second["firsts"])
    return Keeper(pid, start, first["rootless"], second["bridge"], namespaces, firsts), writer


def end_keeper(pid: int) -> None:
    """Kill the keeper and wait until it has ended. Raises HarnessError where it does not end.

    It stays a zombie until all processes that the kernel kills with it have been waited for. Process 1 of the machine
    waits for programs whose proxy was killed; in some containers it does that late or never.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:  # ended by itself just now
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        deadline = time.monotonic() + _END_SECONDS
        while not poll.poll(_UNWAITED_SECONDS * 1000):
            if _has_no_files(pid):
                return
            if time.monotonic() > deadline:
                raise HarnessError(f"the network's keeper (process {pid}) does not end; kill it by hand")
    finally:
        os.close(handle)


def _has_no_files(pid: int) -> bool:
    """Whether the kernel has closed the keeper's files, and with them its namespaces.

    Without root, listing the files of a process that is ending raises PermissionError.
    """
    try:
        return not os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return True


def _answer(line: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(line) if line else {"error": "the keeper ended without an answer", "errno": 0}
    if "error" not in answer:
        return answer
    if answer["errno"] in (errno.EPERM, errno.EACCES):
        raise PrivilegeError(f"cannot make namespaces: {answer['error']}; {namespaces_denied()}")
    if answer["errno"] in (errno.ENOSPC, errno.EUSERS):
        raise UnavailableError(
            f"cannot make namespaces: {answer['error']};"
            " raise /proc/sys/user/max_user_namespaces and max_net_namespaces"
        )
    if remedy := host.open_files_remedy(answer["errno"]):
        raise UnavailableError(f"cannot make namespaces: {answer['error']}; {remedy}")
    raise HarnessError(f"cannot make namespaces: {answer['error']}")
