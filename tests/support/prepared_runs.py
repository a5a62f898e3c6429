"""Real runs, each slow for one known reason: two of each cause that harness.experiment.report.analysis.explain names.

python -m tests.support.prepared_runs FOLDER [NAME...]     makes them in FOLDER and prints what explain says
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.experiment.report.load import load_experiment
from harness.experiment.report.load.records import RecordedRun
from tests.support import warm_harness
from tests.support.cli import HARNESS
from tests.support.runs import read_lines

STRATEGIES = """
import os
import socket
import threading
import time

import torch
from harness.training.no_compiler import leave_out_compiler
from harness.training.strategies.ddp import Ddp

PORT = 5201
leave_out_compiler()


def beside(target):
    threading.Thread(target=target, daemon=True).start()


class Sleepy(Ddp):
    '''Rank 1 waits for its data in every step.'''

    def backward(self, loss):
        if self.setup.rank == 1:
            time.sleep(0.06)
        super().backward(loss)


class Busy(Ddp):
    '''The last rank computes more than the others.'''

    def backward(self, loss):
        until = time.perf_counter() + 0.1
        while self.setup.rank == self.setup.size - 1 and time.perf_counter() < until:
            torch.randn(200, 200) @ torch.randn(200, 200)
        super().backward(loss)


class Upload(Ddp):
    '''Rank 0 uploads a large file to rank 1 while both train.'''

    def __init__(self, setup, options):
        super().__init__(setup, options)
        if setup.rank == 1:
            listener = socket.create_server(("", PORT))
            beside(lambda: self.receive(listener))
        if setup.rank == 0:
            beside(self.send)

    @staticmethod
    def receive(listener):
        connection, _ = listener.accept()
        while connection.recv(1 << 16):
            pass

    @staticmethod
    def send():
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("node-1", PORT)) as connection:
                    while True:
                        connection.sendall(bytes(1 << 16))
            except ConnectionRefusedError:
                time.sleep(0.1)


class Bursts(Ddp):
    '''Another program of node 1 sends node 0 large bursts of packets.'''

    def __init__(self, setup, options):
        super().__init__(setup, options)
        if setup.rank == 1:
            beside(self.send)

    @staticmethod
    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while True:
                for _ in range(240):
                    sender.sendto(bytes(1400), ("node-0", 9))
                time.sleep(0.65)
"""
TINY = "{name: digits, batch: 16}"
SMALLEST = "{name: digits, width: 4}"
LARGER = "{name: text, batch: 2, width: 64, layers: 1, context: 32}"


@dataclass(frozen=True)
class Prepared:
    """One run.

    Args:
        cause: what makes it slow.
        link: a profile's fields.
        strategy: as an experiment's file has it.
        change: of link 0-1 in the middle, as `harness link set` takes it.
    """

    cause: str
    link: Mapping[str, str]
    strategy: str = "ddp"
    task: str = TINY
    nodes: int = 2
    steps: int = 40
    change: Sequence[str] = field(default=())


LAN = {"delay": "0.1ms", "rate": "1gbit"}
PREPARED = {
    "latency-ddp": Prepared("latency", {"delay": "40ms", "rate": "100mbit"}, steps=25),
    "latency-ring": Prepared("latency", {"delay": "20ms", "rate": "200mbit"}, nodes=3, steps=30),
    "loss-bulk": Prepared("loss", {"delay": "10ms", "rate": "200mbit", "loss": "2%"}, task=LARGER, steps=15),
    "loss-fedavg": Prepared(
        "loss", {"delay": "20ms", "rate": "1gbit", "loss": "1%"}, "{name: fedavg, H: 2}", task=LARGER, steps=20
    ),
    "rate-ddp": Prepared("rate", {"delay": "1ms", "rate": "5mbit"}),
    "rate-fedavg": Prepared("rate", {"delay": "2ms", "rate": "2mbit"}, "{name: fedavg, H: 2}"),
    "queue-upload": Prepared(
        "queue",
        {"delay": "5ms", "rate": "10mbit", "limit": "1000"},
        "./mine.py:Upload",
        SMALLEST,
        steps=20,
    ),
    "queue-bursts": Prepared(
        "queue",
        {"delay": "5ms", "rate": "5mbit", "limit": "1000"},
        "./mine.py:Bursts",
        SMALLEST,
        steps=20,
    ),
    "queue-short": Prepared("queue", {"delay": "20ms", "rate": "20mbit", "limit": "12"}, task=LARGER, steps=15),
    "straggler-sleep": Prepared("straggler", LAN, "./mine.py:Sleepy"),
    "straggler-busy": Prepared("straggler", LAN, "./mine.py:Busy", nodes=3, steps=30),
    "compute-text": Prepared("compute", LAN, task="{name: text, batch: 16, width: 96, layers: 2}", steps=20),
    "compute-digits": Prepared("compute", {"delay": "0.2ms"}, task="{name: digits, batch: 1024, width: 64}", steps=30),
    "changed-delay": Prepared("changed", {"delay": "2ms", "rate": "100mbit"}, steps=140, change=("--delay", "60ms")),
    "changed-rate": Prepared("changed", {"delay": "2ms", "rate": "100mbit"}, steps=140, change=("--rate", "2mbit")),
}


def make(name: str, folder: Path, env: Mapping[str, str], options: Sequence[str] = ()) -> RecordedRun:
    """Do the run, and read its records.

    Args:
        name: of PREPARED.
        folder: where its files are written.
        env: of the command.
        options: more of `harness experiment run`.
    """
    one = PREPARED[name]
    own = folder / name
    own.mkdir()
    (own / "mine.py").write_text(STRATEGIES)
    (own / "link.yaml").write_text("".join(f"{key}: {value}\n" for key, value in one.link.items()))
    (own / "e.yaml").write_text(
        f"nodes: {one.nodes}\ntopologies: ring\nprofiles: ./link.yaml\nstrategies: [{one.strategy}]\n"
        f"task: {one.task}\nsteps: {one.steps}\nevaluate_every: 1000\ncheckpoint_every: 0\n"
    )
    words = [*HARNESS, "experiment", "run", str(own / "e.yaml"), "--runs", str(own / "runs"), *options]
    process = subprocess.Popen(words, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if one.change:
        threading.Thread(target=_change, args=(own, one, dict(env), process), daemon=True).start()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert "Why it takes so long" in out
    (made,) = (own / "runs").iterdir()
    (run,) = load_experiment(made).runs
    return run


def _change(folder: Path, one: Prepared, env: Mapping[str, str], process: subprocess.Popen[str]) -> None:
    """Change link 0-1 once a quarter of the steps are done: half of them may be, until the command has.

    It is forked from a process that has imported all of it: a new one may need longer than all steps.
    """
    warm_harness.run(["--help"], env)
    while process.poll() is None:
        if any(step >= one.steps // 4 for step in _steps(folder)):
            name = env.get("HARNESS_NAME", "default")
            done = warm_harness.run(["link", "set", "0-1", *one.change, "--name", name], env)
            assert done.returncode == 0, done.stderr
            return
        time.sleep(0.05)


def _steps(folder: Path) -> Iterator[int]:
    for path in folder.glob("runs/*/*/rank-0.jsonl"):
        for line in path.read_text().splitlines():
            if '"step"' in line:
                yield json.loads(line).get("step", 0)


# Copies


_NOT_KEPT = {"versions", "data", "parameters", "received_bytes", "accuracy"}
_EVERY = 0.5
"""Seconds between the samples of links that a copy keeps."""


def keep(run: Path, copy: Path) -> None:
    """Copy what explain reads of a run, without more digits than it needs."""
    copy.mkdir(parents=True)
    for path in [*run.glob("rank-*.jsonl"), *run.glob("flows*.jsonl"), *run.glob("changes.jsonl")]:
        _write_lines(copy / path.name, (line for line in read_lines(path) if line.get("kind") not in ("eval", "end")))
    _write_lines(copy / "links.jsonl", _thinned(read_lines(run / "links.jsonl")))
    for name in ("run.json", "end.json"):
        text = (run / name).read_text().replace(str(run.parents[2]), ".")
        (copy / name).write_text(json.dumps(_short(json.loads(text))) + "\n")


def _thinned(lines: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Whole lines, some time apart: one that leaves edges out says what has changed since the one before."""
    most, last = max(len(line["edges"]) for line in lines), 0.0
    for line in lines:
        if len(line["edges"]) == most and line["time"] - last >= _EVERY:
            last = line["time"]
            yield line


def _write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(_short(line), separators=(",", ":")) + "\n" for line in lines))


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items() if key not in _NOT_KEPT}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return round(value, 4) if isinstance(value, float) and value > 0.001 else value


if __name__ == "__main__":
    import os

    from harness.experiment.report.analysis.explain import explain

    root, *names = sys.argv[1:]
    Path(root).mkdir(exist_ok=True)
    for each in names or PREPARED:
        found = explain(make(each, Path(root), os.environ))
        print(f"{each}: {found.sentence} {found.lost}", flush=True)
        (made,) = Path(root, each).glob("runs/*/*/run.json")
        keep(made.parent, Path(root, "kept", each))
