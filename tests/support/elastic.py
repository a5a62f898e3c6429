"""Ranks of an elastic training run as real processes, over loopback; some are killed, paused and started again."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

from tests.support import warm_python
from tests.support.trainers import MODULE
from tests.support.workload import PATIENCE, free_port

SLOW = """
import time
from harness.training.strategies.{module} import {name}


class Slow({name}):
    def step(self, loss_of):
        time.sleep(0.03)
        return super().step(loss_of)
"""
"""A strategy whose steps leave time for a rank to come back."""


def slow(folder: Path, module: str, name: str) -> str:
    """What to give --strategy."""
    path = folder / "slow.py"
    path.write_text(SLOW.format(module=module, name=name))
    return f"{path}:Slow"


class ElasticJob:
    """The ranks of a job.

    Args:
        ranks: how many.
        folder: of the records.
        arguments: of the trainer.
    """

    def __init__(self, ranks: int, folder: Path, *arguments: str) -> None:
        self.folder, self._ranks, self._arguments = folder, ranks, ["--out", str(folder), *arguments]
        self._port, self._stack, self._files = free_port(), ExitStack(), {}
        self.processes = {}

    def __enter__(self):
        for rank in range(self._ranks):
            self.start(rank)
        return self

    def __exit__(self, *_):
        self._stack.close()

    def start(self, rank: int, restart: int = 0) -> None:
        """Start a rank; for the second time with HARNESS_RESTART=1."""
        env = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(self._ranks), "MASTER_ADDR": "127.0.0.1"}
        env |= {"MASTER_PORT": str(self._port), "GLOO_SOCKET_IFNAME": "lo"}
        env |= {"HARNESS_RESTART": str(restart)} if restart else {}
        both = self._files[rank] = [TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        for file in both:
            self._stack.enter_context(file)
        process = self.processes[rank] = warm_python.start(MODULE, self._arguments, env, *both)
        self._stack.callback(process.wait, PATIENCE)
        self._stack.callback(process.kill)

    def kill(self, rank: int) -> None:
        """Kill a rank's process."""
        self.processes[rank].kill()
        self.processes[rank].wait(PATIENCE)

    def signal(self, rank: int, number: signal.Signals) -> None:
        """Send a signal to a rank's process."""
        self.processes[rank].send_signal(number)

    def membership(self) -> list[dict]:
        """The lines of membership.jsonl."""
        path = self.folder / "membership.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, condition) -> None:
        """Wait until something holds while the job runs."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.said()
            assert self.processes[0].poll() is None, self.said()
            time.sleep(0.02)

    def wait_for_step(self, step: int) -> None:
        """Wait until rank 0 has recorded a step."""
        path = self.folder / "rank-0.jsonl"
        self.wait_for(lambda: path.exists() and f'"step": {step},' in path.read_text())

    def codes(self) -> dict[int, int]:
        """The exit codes of the ranks, when all have ended."""
        return {rank: process.wait(PATIENCE) for rank, process in self.processes.items()}

    def said(self) -> dict[int, str]:
        """What each rank has printed."""
        return {rank: "".join(map(_text, files)) for rank, files in self._files.items()}


def _text(file) -> str:
    return os.pread(file.fileno(), 1 << 20, 0).decode(errors="replace")
