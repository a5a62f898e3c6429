"""The process that plays a scenario on this node; every node of the network has one, and they need not speak.

All read the same file and draw with the same seed, so each knows what happens when, and changes its own links at its
time: nothing of it crosses the links, which may be slow or down. The coordinator says when time 0 was.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from harness.errors import InputError

_MODULE: Final = "harness.scenario.in_node"
_END_SECONDS: Final = 3.0


@cache
def _boot() -> str:
    """What containers of one machine have in common, and with it the clock that nobody sets."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def stamp() -> dict[str, Any]:
    """Now, for nodes of this machine and of others."""
    return {"boot": _boot(), "monotonic": time.monotonic(), "epoch": time.time()}


def begun(stamped: Mapping[str, Any]) -> dict[str, float]:
    """When that was: by this machine's clock that nobody sets (another's cannot be compared: now), and by the first."""
    monotonic = stamped["monotonic"] if stamped["boot"] == _boot() else time.monotonic()
    return {"monotonic": monotonic, "epoch": stamped["epoch"]}


class ScenarioPlayer:
    """Reads and checks the scenario as soon as it is made, and plays it from ``begin`` on.

    Raises:
        InputError: it makes no sense, or not for this network.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            answer = answers.readline()
        if not answer:
            raise InputError(f"the process that plays the scenario ended with code {self._process.wait()}")
        if error := json.loads(answer).get("error"):
            self._process.wait()
            raise InputError(error)

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process.poll() is None else None

    def begin(self, rank: int, start: Mapping[str, float], folder: Path | None, steps: Path | None) -> None:
        """Play it.

        Args:
            rank: this node's.
            start: when time 0 was.
            folder: of the run, to record changes in; None: nowhere.
            steps: where the jobs of all nodes say how far they are; None: nowhere.
        """
        told = {"rank": rank, "start": dict(start), "folder": str(folder or ""), "steps": str(steps or "")}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(told) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended, and said why
            return

    def end(self) -> None:
        """End it: a change that is under way is made whole, and what was left is said."""
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
