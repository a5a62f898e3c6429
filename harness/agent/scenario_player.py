"""The process that plays a scenario on this node.

Every node has one. All read the same file with the same seed, so each changes its own links at the right time, and no
messages cross the links, which may be slow or down. The coordinator sends the time at which the scenario began.
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
    """Equal in all containers of one machine; these share the monotonic clock."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def stamp() -> dict[str, Any]:
    """The current time, for nodes on this machine and on others."""
    return {"boot": _boot(), "monotonic": time.monotonic(), "epoch": time.time()}


def begun(stamped: Mapping[str, Any]) -> dict[str, float]:
    """A ``stamp`` in this machine's monotonic clock (of another machine's stamp: now), and since the epoch."""
    monotonic = stamped["monotonic"] if stamped["boot"] == _boot() else time.monotonic()
    return {"monotonic": monotonic, "epoch": stamped["epoch"]}


class ScenarioPlayer:
    """Starts the process, which reads and checks the scenario at once; ``begin`` starts to play it.

    Raises:
        InputError: the scenario is wrong, or does not fit this network.
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
        """Start to play it.

        Args:
            rank: of this node.
            start: the time at which it began.
            folder: run folder in which changes are recorded; None: they are not.
            steps: the file to which jobs append the number of each step; None: there is none.
        """
        told = {"rank": rank, "start": dict(start), "folder": str(folder or ""), "steps": str(steps or "")}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(told) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended, and logged why
            return

    def end(self) -> None:
        """End it; it first completes a change that is under way, and logs what it leaves."""
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
