"""harness.training.train as two real processes with real gloo, over loopback only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

from tests.support import warm_python
from tests.support.workload import PATIENCE, free_port

RANKS = 2
MODULE = "harness.training.train"
MORTAL = """
import os
import signal
from harness.training.no_compiler import leave_out_compiler
from harness.training.strategies.ddp import Ddp
from harness.training.strategies.fedavg import FedAvg

leave_out_compiler()


def perhaps_die(step):
    rank = os.environ["RANK"]
    if os.environ.get(f"KILL_{rank}") == str(step):
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get(f"EXIT_{rank}") == str(step):
        print(f"rank {rank} has had enough", flush=True)
        os._exit(9)


class MortalDdp(Ddp):
    def share_parameters(self):
        perhaps_die(self.steps)
        super().share_parameters()


class MortalFedAvg(FedAvg):
    def share_parameters(self):
        perhaps_die(self.steps)
        super().share_parameters()
"""
"""A user's strategies, whose ranks die after the local part of the step that KILL_<rank> or EXIT_<rank> names."""


@dataclass(frozen=True)
class Ended:
    """How the ranks ended, and what they wrote on standard output and standard error."""

    codes: list[int]
    output: list[list[str]] = field(default_factory=list)
    errors: list[list[str]] = field(default_factory=list)


def train(*arguments, largest_file: int | None = None, new_interpreters=False, **environment) -> Ended:
    """Both ranks to their end.

    Args:
        arguments: of the program.
        largest_file: in bytes, that a rank may write.
        new_interpreters: that import PyTorch, each with a hash seed of its own.
        environment: beside torchrun's variables.
    """
    port = free_port()
    processes, files = [], []
    with ExitStack() as at_end:
        for rank in range(RANKS):
            variables = {
                **os.environ,
                "RANK": str(rank),
                "WORLD_SIZE": str(RANKS),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "GLOO_SOCKET_IFNAME": "lo",
                **environment,
            }
            both = [at_end.enter_context(TemporaryFile("w+")) for _ in range(2)]
            if new_interpreters:
                argv = [sys.executable, "-m", MODULE, *arguments]
                process = subprocess.Popen(argv, env=variables, stdout=both[0], stderr=both[1])
            else:
                process = warm_python.start(MODULE, arguments, variables, *both, largest_file=largest_file)
            at_end.callback(process.wait, PATIENCE)
            at_end.callback(process.kill)
            processes.append(process)
            files.append(both)
        codes = [process.wait(PATIENCE) for process in processes]
        return Ended(codes, [_lines(out) for out, _ in files], [_lines(errors) for _, errors in files])


def mortal(folder: Path) -> Path:
    """The file with strategies that die."""
    path = folder / "mortal.py"
    path.write_text(MORTAL)
    return path


def records(folder: Path, rank: int) -> list[dict]:
    """Every whole line of a rank's record; anything else that is no number JSON knows is refused."""
    found = []
    for line in (folder / f"rank-{rank}.jsonl").read_text().splitlines():
        try:
            found.append(json.loads(line, parse_constant=_refuse))
        except json.JSONDecodeError:
            continue
    return found


def of_kind(kind: str, lines: list[dict]) -> list[dict]:
    """The lines of one kind."""
    return [line for line in lines if line["kind"] == kind]


def holding(lines: list[dict]) -> list[dict]:
    """What counts in the end, as docs/runs.md says: a start takes back what came after the state it goes on from."""
    held: list[dict] = []
    for line in lines:
        if line["kind"] == "start":
            last = line["resumed_from"]
            held = [one for one in held if last is not None and one.get("step", 0) <= last]
        held.append(line)
    return held


def _lines(file):
    file.seek(0)
    return file.read().splitlines()


def _refuse(name):
    raise ValueError(f"{name} is no JSON")
