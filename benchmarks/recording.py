"""What recording costs: steps that are recorded, against steps that are not, in turns in one process group.

Two ranks over loopback with ddp, so that hardly anything but the step itself is there to hide the cost; on shaped links
a step takes longer, and the share is smaller. torch's flight recorder cannot be turned off within a run, and keeps what
it keeps in all steps; to read it is part of those that are recorded. Kinds alternate every few steps, for the machine's
own pace wanders, and a third kind, not recorded either, tells how much two that are alike differ: a ratio says no more
than that. What a Recorder does within a step is measured by itself as well. What links and flows cost is measured by
sampling.py, on networks of its own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

from benchmarks import sampling
from benchmarks.ranks import both_ranks
from benchmarks.report import Row, table

TASKS = {"digits": 128, "text": 8}
"""With the examples in a batch."""
BLOCKS = {"digits": 200, "text": 40}
STEPS = {"digits": 5, "text": 1}
"""In a block of either kind."""
LIMIT = 1.02


def rank_main(task: str, folder: str) -> None:
    """One rank: prints, of each round of blocks, seconds without recording, of the control, with it, and its own share.

    Args:
        task: what is learned.
        folder: for records.
    """
    from harness.training.collectives import flight_recorder, profiler
    from harness.training.group import ProcessGroup
    from harness.training.recorder import InterfaceCounters, Recorder
    from harness.training.strategies.base import CommClock, StrategyContext
    from harness.training.strategies.catalogue import find_strategy
    from harness.training.tasks.catalogue import make_task
    from harness.training.tasks.task_options import TaskOptions

    flight_recorder.enable(os.environ)
    profiler.quiet(os.environ)
    group = ProcessGroup(os.environ, 600)
    import torch

    work = make_task(TaskOptions(task, batch=TASKS[task]), group.rank, group.size, 0)
    model, clock, kind = work.model(), CommClock(), find_strategy("ddp")
    setup = StrategyContext(model, lambda parameters: torch.optim.AdamW(parameters), group.rank, group.size, (), clock)
    strategy = kind(setup, kind.Options())
    recorder = Recorder(Path(folder), group.rank, InterfaceCounters("lo"))
    recorder.begin()
    step = 0

    def train(recorded: bool) -> tuple[float, float]:
        nonlocal step
        own, began = 0.0, time.perf_counter()
        for _ in range(STEPS[task]):
            step += 1
            batch, start = work.batch(step), time.perf_counter()
            loss = strategy.step(lambda module, batch=batch: work.loss(module, batch))  # type: ignore[misc]
            ended = time.perf_counter()
            if recorded:
                recorder.step(step, loss, ended - start, clock)
                own += time.perf_counter() - ended
        return time.perf_counter() - began, own

    train(True)
    found = []
    kinds = ("without", "control", "with")
    for number in range(BLOCKS[task]):
        order = kinds[number % 3 :] + kinds[: number % 3]
        took = {kind: train(kind == "with") for kind in order}
        found.append((took["without"][0], took["control"][0], *took["with"]))
    recorder.close()
    print(json.dumps(found), flush=True)


def compare(task: str) -> tuple[float, float, float, float]:
    """Seconds of a step of the slower rank: without recording, of the control, with it; of the recorder itself."""
    with tempfile.TemporaryDirectory() as folder:
        told = both_ranks("benchmarks.recording", task, folder)
        lines = Path(folder, "rank-0.jsonl").read_text().splitlines()
        assert sum('"kind": "step"' in line for line in lines) == (BLOCKS[task] + 1) * STEPS[task]
    rounds = [max(ranks) for ranks in zip(*(map(tuple, one) for one in told), strict=True)]
    without, control, recorded, own = (fmean(column) / STEPS[task] for column in zip(*_steady(rounds), strict=True))
    return without, control, recorded, own


def _steady(rounds: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Those whose blocks fell into one pace of the machine: without the fifth in which these differ most."""
    ordered = sorted(rounds, key=lambda one: max(one[:3]) / min(one[:3]))
    return ordered[: len(ordered) * 4 // 5]


def main() -> None:
    """Measure and print."""
    rows = []
    for task in TASKS:
        without, control, recording, own = compare(task)
        ratio, share = recording / without, own / recording
        rows += [
            Row(f"{task}: step without recording", f"{1000 * without:.2f} ms"),
            Row(f"{task}: step with recording / without", f"{ratio:.3f}", "<= 1.02", ratio <= LIMIT),
            Row(f"{task}:   two without it, the one / the other", f"{control / without:.3f}"),
            Row(f"{task}: the recorder's own share of a step", f"{share:.2%}", "<= 2 %", share <= LIMIT - 1),
        ]
    table("What recording costs", rows)
    sampling.main()


if __name__ == "__main__":
    rank_main(*sys.argv[1:])
