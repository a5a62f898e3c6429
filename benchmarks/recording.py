"""What recording costs: training that writes its records, against training that writes none, in turns in one run.

Two ranks over loopback with ddp, so that hardly anything but the step itself is there to hide the cost; on shaped links
a step takes longer, and the share is smaller. Two groups of ranks stand ready, one with a Recorder and torch's flight
recorder, one with neither, and train in turns. The line of link statistics that `harness experiment` writes once a
second is measured on a network of its own.
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
from statistics import median

from benchmarks.report import Row, table

RANKS = 2
ROUNDS = 11
TASKS = {"digits": 128, "text": 8}
"""With the examples in a batch."""
ROUND_SECONDS = 2.5
"""So long that every round has its share of what is done every two seconds."""
LIMIT = 1.02
_SAMPLES = 20
_NODES = 4


def rank_main(task: str, folder: str) -> None:
    """One rank: for each number on standard input, train for so many steps and print the seconds of one.

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
        began = time.perf_counter()
        for _ in range(int(line)):
            step += 1
            batch = work.batch(step)
            start = time.perf_counter()
            loss = strategy.step(lambda module, batch=batch: work.loss(module, batch))  # type: ignore[misc]
            if recorder:
                recorder.step(step, loss, time.perf_counter() - start, clock)
        print((time.perf_counter() - began) / int(line), flush=True)


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
            buffer = "1024" if folder else "0"
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

    def train(self, steps: int) -> float:
        """Seconds of a step, of the slowest rank."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
        return max(float(process.stdout.readline()) for process in self._processes if process.stdout)

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
            process.wait()


def compare(task: str) -> tuple[float, float, float]:
    """Medians over rounds: seconds of a step without recording, with it, and the ratio of the two within a round."""
    with tempfile.TemporaryDirectory() as folder:
        without, recording = Ranks(task, None), Ranks(task, folder)
        try:
            warm = max(group.train(5) for group in (without, recording) for _ in range(2))
            steps = max(2, round(ROUND_SECONDS / warm))
            pairs = []
            for number in range(ROUNDS):
                order = (without, recording) if number % 2 else (recording, without)
                took = {group: group.train(steps) for group in order}
                pairs.append((took[without], took[recording]))
        finally:
            without.close()
            recording.close()
        lines = [json.loads(line) for line in Path(folder, "rank-0.jsonl").read_text().splitlines()]
        assert sum(line["kind"] == "step" for line in lines) == ROUNDS * steps + 10
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(b / a for a, b in pairs)


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
        without, recording, ratio = compare(task)
        rows += [
            Row(f"{task}: step without recording", f"{1000 * without:.2f} ms"),
            Row(f"{task}: step with recording", f"{1000 * recording:.2f} ms"),
            Row(
                f"{task}: with / without (median of {ROUNDS} rounds, in turns)",
                f"{ratio:.3f}",
                "<= 1.02",
                ratio <= LIMIT,
            ),
        ]
    cpu = statistics_seconds()
    share = cpu / len(os.sched_getaffinity(0))
    rows.append(Row(f"link statistics once a second, {_NODES} nodes: CPU", f"{1000 * cpu:.1f} ms"))
    rows.append(Row("link statistics: share of all cores", f"{share:.2%}", "<= 2 %", share <= LIMIT - 1))
    table("What recording costs", rows)


if __name__ == "__main__":
    rank_main(*sys.argv[1:])
