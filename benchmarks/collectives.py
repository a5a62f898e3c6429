"""What timing each collective costs: steps of the digits job with it, against steps without, in turns.

Two ranks over loopback with ddp: an all_reduce each some milliseconds, which is more than over any shaped link. Blocks
take some seconds, and each begins and ends the recording as a job does. A third kind, without it as well, tells
how much two that are alike differ. What reading and writing take is counted by itself as well. Collectives
with nothing between them, in turns as well, tell what a single one costs, gloo's threads included.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ranks import both_ranks
from benchmarks.report import Row, table

BATCH = 128
ROUNDS = 4
STEPS = 400
CALLS = 200
LIMIT = 1.02
KINDS = ("without", "control", "with")


def rank_main(folder: str) -> None:
    """One rank: prints by kind, of each block, its seconds, its CPU seconds, and those of recording.

    Args:
        folder: for records.
    """
    from harness.training.collectives import flight_recorder, profiler
    from harness.training.collectives.log import CollectiveLog
    from harness.training.group import ProcessGroup
    from harness.training.strategies.base import CommClock, StrategyContext
    from harness.training.strategies.catalogue import find_strategy
    from harness.training.tasks.catalogue import make_task
    from harness.training.tasks.task_options import TaskOptions

    flight_recorder.enable(os.environ)
    profiler.quiet(os.environ)
    group = ProcessGroup(os.environ, 600)
    import torch

    work = make_task(TaskOptions("digits", batch=BATCH), group.rank, group.size, 0)
    model, kind = work.model(), find_strategy("ddp")
    setup = StrategyContext(
        model, lambda parameters: torch.optim.AdamW(parameters), group.rank, group.size, (), CommClock()
    )
    strategy = kind(setup, kind.Options())
    log = CollectiveLog(Path(folder), group.rank)
    tensor = torch.ones(10_000)

    def step(number: int) -> None:
        batch = work.batch(number + 1)
        strategy.step(lambda module: work.loss(module, batch))

    def block(count: int, what: Callable[[int], Any], recorded: bool) -> tuple[float, float, float]:
        time.sleep(0.05)  # as between two recordings of a job
        began, used, own = time.perf_counter(), time.process_time(), -time.thread_time()
        if recorded:
            log.begin()
        own += time.thread_time()
        for number in range(count):
            what(number)
            own -= time.thread_time()
            if recorded and log.is_off(now := time.perf_counter()):
                log.resume()
            if recorded and log.is_due(now) and log.cut():
                log.write()
            own += time.thread_time()
        own -= time.thread_time()
        if recorded:
            log.cut(last=True)
            log.write()
        own += time.thread_time()
        return time.perf_counter() - began, time.process_time() - used, own

    block(STEPS, step, True)
    found = {}
    for name, count, what in (("steps", STEPS, step), ("calls", CALLS, lambda _: group.dist.all_reduce(tensor))):
        rounds = []
        for number in range(ROUNDS):
            order = KINDS[number % 3 :] + KINDS[: number % 3]
            took = {kind: block(count, what, kind == "with") for kind in order}
            rounds.append([took[kind] for kind in KINDS])
        found[name] = rounds
    log.close()
    print(json.dumps(found), flush=True)
    group.close()


def measure() -> Sequence[dict[str, list[list[tuple[float, float, float]]]]]:
    """What each rank printed."""
    with tempfile.TemporaryDirectory() as folder:
        told = both_ranks("benchmarks.collectives", folder)
        lines = Path(folder, "collectives-0.jsonl").read_text().splitlines()
        assert len(lines) > ROUNDS * STEPS
        assert sum('"seconds":null' in line for line in lines) < len(lines) / 10
    return told


def ratio(rounds: list[list[tuple[float, float, float]]], kind: str, figure: int) -> float:
    """The median over rounds of a kind's seconds (0) or CPU seconds (1), relative to those without recording."""
    place = KINDS.index(kind)
    return median(one[place][figure] / one[0][figure] for one in rounds)


def main() -> None:
    """Measure and print."""
    ranks = measure()
    steps = [one for rank in ranks for one in rank["steps"]]
    calls = [one for rank in ranks for one in rank["calls"]]
    clock, cpu = ratio(steps, "with", 0), ratio(steps, "with", 1)
    share = sum(one[2][2] for one in steps) / sum(one[2][1] for one in steps)
    single = median((one[2][1] - one[0][1]) / CALLS for one in calls)
    rows = [
        Row("digits: step without timing collectives", f"{1000 * median(one[0][0] for one in steps) / STEPS:.2f} ms"),
        Row("digits: reading and writing, share of the CPU", f"{share:.2%}", "<= 2 %", share <= LIMIT - 1),
        Row("digits: step with / without, by the clock", f"{clock:.3f}"),
        Row("digits:   two without it, the one / the other", f"{ratio(steps, 'control', 0):.3f}"),
        Row("digits: step with / without, CPU", f"{cpu:.3f}"),
        Row("digits:   two without it, the one / the other", f"{ratio(steps, 'control', 1):.3f}"),
        Row("a collective: CPU that timing it takes", f"{1e6 * single:.0f} us"),
    ]
    table("What timing collectives costs", rows)


if __name__ == "__main__":
    rank_main(*sys.argv[1:])
