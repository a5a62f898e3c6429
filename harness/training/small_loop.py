"""A synchronous data-parallel training job in small: what runs on the nodes unless a user brings a program.

Run on every rank, with torchrun's variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, GLOO_SOCKET_IFNAME):

    python -m harness.training.small_loop [--steps 50] [--size 1MiB] [--collective all_reduce] [--pause 0.2s]
        [--timeout SECONDS] [--out FOLDER]

Each step computes gradients, sums them over all ranks by one gloo all_reduce of --size bytes, and applies their mean.
The model is an MLP with one hidden layer, as wide as fits the size; less than 72 bytes of padding fill it up. It learns
a smooth function from 16 synthetic samples per rank, other ones on each rank and the same in every run. So the loss
falls, and parameters stay the same on all ranks; the end checks that. --pause is a sleep after every step, counted
neither as compute nor as communication.

Rank 0 prints a line for a step at most every second, with its own loss and times, and a summary at the end. The time of
an all_reduce includes the wait for ranks that come later; its bus bandwidth is that of nccl-tests (see bench.py).
With --out, or HARNESS_RUN_DIR in the environment, every rank R appends one JSON object per step to FOLDER/rank-R.jsonl:
`step` (from 1), `time` (Unix seconds at its end), `seconds_comm`, `seconds_compute`, `bytes`, `loss`.

Exit codes: 0; 2 wrong input; 130 interrupted; 143 SIGTERM, of which the process dies at once; 69 no torch; 70 a
collective failed or parameters differ, with one line on standard error: `rank 2: step 12: all_reduce of 1048576 bytes:
<cause>`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from harness.errors import HarnessError, InputError
from harness.model.units import Size
from harness.training import command
from harness.training.collectives import WIDTH, bus_factor
from harness.training.group import ProcessGroup, blamed, check_environment
from harness.training.small_model import SMALLEST, Model

_SECONDS_BETWEEN_LINES: Final = 1.0


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def step_line(record: Mapping[str, Any], steps: int, ranks: int) -> str:
    """What is told of a step."""
    rate = record["bytes"] * 8 / record["seconds_comm"] * bus_factor("all_reduce", ranks) / 1e6
    told = f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"
    return (
        f"step {record['step']}/{steps}  loss {record['loss']:.3f}  all_reduce {record['seconds_comm'] * 1e3:.1f} ms  "
        f"bus bandwidth {told} Mbit/s  compute {record['seconds_compute'] * 1e3:.0f} ms"
    )


def summary(losses: Sequence[float], comm: Sequence[float], seconds: float) -> str:
    """What is told at the end."""
    return (
        f"{len(comm)} steps in {seconds:.1f} s  loss {losses[0]:.3f} -> {losses[-1]:.3f}  "
        f"all_reduce median {statistics.median(comm) * 1e3:.1f} ms, p95 {percentile(comm, 0.95) * 1e3:.1f} ms"
    )


def _run(options: argparse.Namespace, environment: Mapping[str, str], file: IO[str] | None) -> None:
    group = ProcessGroup(environment, options.timeout)
    model = Model(group.torch, options.size, group.rank)
    size = options.size // WIDTH * WIDTH
    losses: list[float] = []
    comm: list[float] = []
    began, told = time.perf_counter(), -math.inf
    for step in range(1, options.steps + 1):
        start = time.perf_counter()
        buffer, loss = model.gradients()
        computed = time.perf_counter()
        with blamed(group.rank, f"step {step}: all_reduce of {size} bytes"):
            group.dist.all_reduce(buffer)
        reduced = time.perf_counter()
        model.apply(buffer.div_(group.size))
        done = time.perf_counter()
        losses.append(loss)
        comm.append(reduced - computed)
        record = {
            "step": step,
            "time": time.time(),
            "seconds_comm": comm[-1],
            "seconds_compute": done - start - comm[-1],
            "bytes": size,
            "loss": loss,
        }
        if file:
            print(json.dumps(record), file=file, flush=True)
        if group.rank == 0 and done - told >= _SECONDS_BETWEEN_LINES:
            print(step_line(record, options.steps, group.size), flush=True)
            told = done
        time.sleep(options.pause)
    seconds = time.perf_counter() - began
    with blamed(group.rank, f"comparing parameters after {options.steps} steps"):
        if not group.agreed(model.digest()):
            raise HarnessError("they differ between ranks")
    if group.rank == 0:
        print(f"{summary(losses, comm, seconds)}  parameters equal on {group.size} ranks", flush=True)
    group.close()


def _options(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    def size(text: str) -> int:
        if (value := command.size(text)) < SMALLEST:
            raise argparse.ArgumentTypeError(f"{text!r} is under {Size(SMALLEST)}, one hidden unit")
        return value

    folder = Path(environment["HARNESS_RUN_DIR"]) if environment.get("HARNESS_RUN_DIR") else None
    parser = argparse.ArgumentParser(description="Train a small model on all ranks.")
    parser.add_argument("--steps", type=command.count, default=50, help="how many")
    parser.add_argument("--size", type=size, default=1 << 20, help="of the gradients, all together: 64KiB")
    parser.add_argument("--collective", choices=["all_reduce"], default="all_reduce", help="what sums the gradients")
    parser.add_argument("--pause", type=command.duration, default=0.2, help="after every step: 0.2s")
    parser.add_argument("--timeout", type=command.seconds, default=1800, help=command.TIMEOUT_HELP)
    parser.add_argument("--out", type=Path, default=folder, help="folder for rank-R.jsonl")
    return parser.parse_args(arguments)


def _open(folder: Path, rank: str) -> IO[str]:
    path = folder / f"rank-{rank}.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return path.open("a")
    except OSError as error:
        raise InputError(f"rank {rank}: writing {path}: {error.strerror}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; the exit code."""
    options = _options(sys.argv[1:] if arguments is None else arguments, os.environ)

    def run() -> None:
        check_environment(os.environ)
        with _open(options.out, os.environ["RANK"]) if options.out else contextlib.nullcontext() as file:
            _run(options, os.environ, file)

    return command.ended(run)


if __name__ == "__main__":
    command.leave(main())
