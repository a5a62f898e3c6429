"""Starts, finds and stops the loads of a network."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Final, Self

from harness.backends.registration import Registry
from harness.errors import HarnessError, InputError
from harness.linux import signals
from harness.networks.network import Network
from harness.traffic import load_file
from harness.traffic.load_file import Load
from harness.traffic.spec import TrafficSpec, check_path

_HOLDER: Final = Path(__file__).with_name("holder.py")
_END_SECONDS: Final = 20.0
_LOOK_S: Final = 0.1
_NEW_SECONDS: Final = 60.0
"""A load that is starting may have an empty file for this long."""


class CrossTraffic:
    """Loads that are started together, e.g. one for each direction. They end with this process unless kept.

    Args:
        network: a running one.
        specs: of the loads.
        through_down: whether links on the path may be down now, because a scenario sets them up later.
        over: another thread sets it to cancel the start, which then raises HarnessError.

    Raises:
        InputError, PlanError: a rank is unknown, or a link on the path is down.
        HarnessError: a load cannot start; none of them runs then.
    """

    def __init__(
        self,
        network: Network,
        specs: Sequence[TrafficSpec],
        *,
        through_down: bool = False,
        over: Event | None = None,
    ) -> None:
        record = network.registration()
        for spec in () if through_down else specs:
            check_path(spec, record.network_plan)
        self._registry, self._name, self._created = network.registry, record.name, record.created
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        folder = self._registry.load_folder()
        try:
            for spec in specs:
                number, path = load_file.reserve(folder, record.name)
                order: dict[str, object] = {"registration": vars(record), "folder": str(folder), "file": str(path)}
                order |= {"id": number, "spec": spec.to_json()}
                try:
                    self._processes[number] = _start(order, over)
                except BaseException:
                    path.unlink(missing_ok=True)
                    raise
        except BaseException:
            self.stop()
            raise

    @property
    def ids(self) -> list[int]:
        """The loads' numbers, for ``harness traffic stop``."""
        return list(self._processes)

    def keep(self) -> None:
        """Let them outlive this process."""
        for process in self._processes.values():
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # the load has just ended
                process.stdin.write(b"k")
                process.stdin.close()
            process.returncode = 0  # else Popen warns that it still runs

    @property
    def loads(self) -> list[Load]:
        """Their state, up to a second old."""
        return [one for one in loads(self._registry, self._name, self._created) if one.id in self._processes]

    def stop(self) -> list[Load]:
        """Stop them and return them with their totals. Does nothing the second time."""
        found = stop(self._registry, self._name, self._created, self.ids)
        for process in self._processes.values():
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
        self._processes = {}
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _start(order: dict[str, object], over: Event | None) -> subprocess.Popen[bytes]:
    """Start a load and wait until it sends. Raises HarnessError.

    The process needs site-packages, unlike the programs in nodes: netem's engine imports pyroute2.
    """
    with signals.held():
        process = subprocess.Popen(
            [sys.executable, "-I", str(_HOLDER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        with process.stdout as answers:
            while over is not None and not select.select([answers], [], [], _LOOK_S)[0]:
                if over.is_set():
                    raise HarnessError("the nodes have not connected")
            answer = json.loads(answers.readline() or b'{"error": "the process that keeps traffic ended at once"}')
        if "error" in answer:
            error = HarnessError(answer["error"])
            error.exit_code = answer.get("code", HarnessError.exit_code)
            raise error
    except BaseException:
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.kill()
        process.wait()
        raise
    return process


def loads(registry: Registry, name: str, created: float) -> list[Load]:
    """The loads of the network created at that time, by number. Removes files of killed loads and older networks."""
    return [load for _, load in _found(registry, name, created)]


def _found(registry: Registry, name: str, created: float | None) -> list[tuple[Path, Load]]:
    found = []
    for path in load_file.files(registry.load_folder(), name):
        load = load_file.read(path)
        if load is None:
            if _age(path) > _NEW_SECONDS:
                path.unlink(missing_ok=True)
        elif created in (None, load.created) and (load.ended or load.alive):
            found.append((path, load))
        else:
            path.unlink(missing_ok=True)
    return sorted(found, key=lambda one: one[1].id)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def stop(registry: Registry, name: str, created: float | None, ids: Sequence[int] | None = None) -> list[Load]:
    """Stop loads of a network, remove their files, and return them with their totals, by number.

    Args:
        registry: of the network.
        name: its name.
        created: when it was created; None: at any time.
        ids: the loads' numbers; None: all.

    Raises:
        HarnessError: a load does not end.
    """
    chosen = [(path, load) for path, load in _found(registry, name, created) if ids is None or load.id in ids]
    handles = [_signalled(load) for _, load in chosen]
    for (_, load), handle in zip(chosen, handles, strict=True):
        _await(load, handle)
    ended = [load_file.read(path) or load for path, load in chosen]
    for path, _ in chosen:
        path.unlink(missing_ok=True)
    return ended


def require_ids(known: Sequence[Load], ids: Sequence[int]) -> None:
    """Raise InputError for the number of a load that the network does not have."""
    have = [load.id for load in known]
    for number in ids:
        if number not in have:
            listed = f"it has {', '.join(map(str, have))}" if have else "it has none"
            raise InputError(f"there is no traffic {number} in this network; {listed} ('harness traffic show')")


def _signalled(load: Load) -> int | None:
    """Send SIGTERM to the load's process; return a pidfd of it, or None where it has ended."""
    try:
        handle = os.pidfd_open(load.pid)
    except ProcessLookupError:
        return None
    if not load.alive:
        os.close(handle)
        return None
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGTERM)
    return handle


def _await(load: Load, handle: int | None) -> None:
    if handle is None:
        return
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if not poll.poll(_END_SECONDS * 1000):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not poll.poll(_END_SECONDS * 1000):
                raise HarnessError(f"traffic {load.id}: the process that keeps it ({load.pid}) does not end")
    finally:
        os.close(handle)
