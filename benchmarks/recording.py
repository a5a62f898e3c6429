"""What recording costs: training that writes its records, against training that writes none, in turns in one run.

Two ranks over loopback with ddp, so that hardly anything but the step itself is there to hide the cost; on shaped links
a step takes longer, and the share is smaller. Two groups of ranks stand ready, one with a Recorder and torch's flight
recorder, one with neither, and train in short turns, for the machine's own pace wanders. What a Recorder does within
the step is measured by itself as well. So is the line of link statistics that `harness experiment` writes once a
second, on a network of its own.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

from benchmarks.report import Row, table

RANKS = 2
ROUNDS = 60
TASKS = {"digits": 128, "text": 8}
"""With the examples in a batch."""
ROUND_SECONDS = 0.3
LIMIT = 1.02
_SAMPLES = 20
_NODES = 4


def rank_main(task: str, folder: str) -> None:
    """One rank: for each number on standard input, train for so many steps and print the seconds of one,
    and those of them that recording took.

    Args:
        task: what is learned.
        folder: for records; empty: none are written.
    """
    from harness.strategies.base import CommClock, Setup
    from harness.strategies.find import find_strategy
    from harness.tasks.find import TaskOptions, make_task
    from harness.workloads.flight import FlightLog
    from harness.workloads.group import Group
    from harness.workloads.recorder import InterfaceCounters, Recorder

    group = Group(os.environ, 600)
    import torch

    options = TaskOptions(task, batch=TASKS[task])
    work = make_task(options, group.rank, group.size, 0)
    model, clock, kind = work.model(), CommClock(), find_strategy("ddp")
    setup = Setup(model, lambda parameters: torch.optim.AdamW(parameters), group.rank, group.size, (), clock)
    strategy = kind(setup, kind.Options())
    recorder = Recorder(Path(folder), group.rank, InterfaceCounters("lo"), FlightLog()) if folder else None
    if recorder:
        recorder.begin()
    step = 0
    for line in sys.stdin:
        group.dist.barrier()
        own, began = 0.0, time.perf_counter()
        for _ in range(int(line)):
            step += 1
            batch = work.batch(step)
            start = time.perf_counter()
            loss = strategy.step(lambda module, batch=batch: work.loss(module, batch))  # type: ignore[misc]
            if recorder:
                ended = time.perf_counter()
                recorder.step(step, loss, ended - start, clock)
                own += time.perf_counter() - ended
        print((time.perf_counter() - began) / int(line), own / int(line), flush=True)


class Ranks:
    """A group that trains when it is told.

    Args:
        task: what is learned.
        folder: for records; None: none are written, and torch's flight recorder is off.
    """

    def __init__(self, task: str, folder: str | None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._processes = []
        for rank in range(RANKS):
            variables = {"RANK": str(rank), "WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1"}
            buffer = "512" if folder else "0"
            more = {"MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "TORCH_FR_BUFFER_SIZE": buffer}
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.recording", task, folder or ""],
                    env={**os.environ, **variables, **more},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )

    def train(self, steps: int) -> tuple[float, float]:
        """Seconds of a step, and those of them that recording took, of the slowest rank."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
        told = [process.stdout.readline().split() for process in self._processes if process.stdout]
        return max((float(step), float(own)) for step, own in told)

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
            process.wait()


def compare(task: str) -> tuple[float, float, float]:
    """Seconds of a step without recording, and with it, over all rounds; those that the recorder itself took."""
    with tempfile.TemporaryDirectory() as folder:
        without, recording = Ranks(task, None), Ranks(task, folder)
        try:
            warm = max(group.train(5)[0] for group in (without, recording) for _ in range(2))
            steps = max(1, round(ROUND_SECONDS / warm))
            rounds = []
            for number in range(ROUNDS):
                order = (without, recording) if number % 2 else (recording, without)
                took = {group: group.train(steps) for group in order}
                rounds.append((took[without][0], *took[recording]))
        finally:
            without.close()
            recording.close()
        lines = [json.loads(line) for line in Path(folder, "rank-0.jsonl").read_text().splitlines()]
        assert sum(line["kind"] == "step" for line in lines) == ROUNDS * steps + 10
    return tuple(map(fmean, zip(*_steady(rounds), strict=True)))  # type: ignore[return-value]


def _steady(rounds: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Those whose turns fell into one pace of the machine: without the tenth in which they differ most, each way."""
    ordered = sorted(rounds, key=lambda one: one[1] / one[0])
    tenth = len(ordered) // 10
    return ordered[tenth : len(ordered) - tenth]


def statistics_seconds() -> float:
    """CPU seconds of a line of link statistics of a ring of four."""
    from harness.engine.capability import choose_engine
    from harness.engine.make import make_engine
    from harness.experiment.job import sample
    from harness.home import find_runtime
    from harness.plan_options import PlanOptions
    from harness.runtime.netns import NetnsRuntime
    from harness.session import Network
    from harness.store import Store

    plan = PlanOptions(_NODES, "ring", "wan", None, 0, None, None).plan()
    runtime = NetnsRuntime(make_engine(choose_engine("auto")[0]))
    with tempfile.TemporaryDirectory() as folder:
        network = Network.up("recording", plan, runtime, Store(Path(folder)), find_runtime, transient=True)
        try:
            took = []
            for _ in range(_SAMPLES):
                before = os.times()
                sample(network)
                took.append(sum(os.times()[:4]) - sum(before[:4]))
        finally:
            network.down()
    return sum(took) / len(took)


def main() -> None:
    """Measure and print."""
    rows = []
    for task in TASKS:
        without, recording, own = compare(task)
        ratio, share = recording / without, own / recording
        rows += [
            Row(f"{task}: step without recording", f"{1000 * without:.2f} ms"),
            Row(f"{task}: step with recording / without", f"{ratio:.3f}", "<= 1.02", ratio <= LIMIT),
            Row(f"{task}: the recorder's own share of a step", f"{share:.2%}", "<= 2 %", share <= LIMIT - 1),
        ]
    cpu = statistics_seconds()
    share = cpu / len(os.sched_getaffinity(0))
    rows.append(Row(f"link statistics once a second, {_NODES} nodes: CPU", f"{1000 * cpu:.1f} ms"))
    rows.append(Row("link statistics: share of all cores", f"{share:.2%}", "<= 2 %", share <= LIMIT - 1))
    table("What recording costs", rows)


if __name__ == "__main__":
    rank_main(*sys.argv[1:])
