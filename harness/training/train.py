"""Train a model on real data over the links of a network.

Run on every rank, with torchrun's variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, GLOO_SOCKET_IFNAME):

    python -m harness.training.train [--task digits|mnist|text] [--strategy ddp] [--option H=20]... [--steps 200]
        [--shards iid|dirichlet:0.3] [--batch 32] [--optimizer adamw|sgd] [--lr 0.001] [--seed 0] [--out FOLDER] ...

The options are declared in options.py. An experiment hands them to each rank as one JSON object, ``--json OBJECT``.

--seed determines everything but the network's timing. With --out, or HARNESS_RUN_DIR in the environment, every rank
records its steps in FOLDER/rank-R.jsonl (docs/runs.md) and saves a checkpoint every --checkpoint-every steps;
--resume continues from there, and gives the same model as a run that was not stopped. Rank 0 also writes run.json and
end.json, so that `harness report FOLDER` can read the folder.

Exit codes: 0; 2 wrong input; 130 interrupted; 69 no torch, or no data; 70 a rank failed, with one line on standard
error that names rank, step and cause.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.model.collectives_hook import COLLECTIVES
from harness.training import command
from harness.training.collectives import flight_recorder, profiler
from harness.training.declared import add_arguments, from_arguments
from harness.training.device import described_device, find_device
from harness.training.elastic.meeting import make_meeting
from harness.training.group import ProcessGroup, check_environment, import_torch
from harness.training.no_compiler import leave_out_compiler
from harness.training.options import TrainOptions
from harness.training.run_description import described
from harness.training.strategies.catalogue import TABLE, find_strategy
from harness.training.strategies.option_values import read_options
from harness.training.tasks.catalogue import make_task
from harness.training.tasks.task_options import TaskOptions

if TYPE_CHECKING:
    from harness.training.strategies.base import CommClock, Strategy
    from harness.training.tasks.base import LearningTask


def neighbours(environment: Mapping[str, str], rank: int, size: int) -> tuple[int, ...]:
    """The ranks with a direct link to this one: those in HARNESS_NEIGHBOURS, or without it all. Raises InputError."""
    text = environment.get("HARNESS_NEIGHBOURS")
    if text is None:
        return tuple(other for other in range(size) if other != rank)
    try:
        found = tuple(sorted(int(word) for word in text.split(",") if word))
    except ValueError:
        found = (-1,)
    if not all(0 <= other < size and other != rank for other in found):
        raise InputError(f"HARNESS_NEIGHBOURS={text!r}: write other ranks, like 1,3")
    return found


def _run(options: TrainOptions, environment: Mapping[str, str]) -> None:
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    kind = find_strategy(options.strategy)
    strategy_options = read_options(options.strategy, kind.Options, options.options)
    os.environ.pop(COLLECTIVES, None)  # the trainer records them itself, with their steps
    flight_recorder.enable(os.environ)
    profiler.quiet(os.environ)
    rank, size, elastic = int(environment["RANK"]), int(environment["WORLD_SIZE"]), options.schedule.elastic
    linked = neighbours(environment, rank, size)
    torch, _ = import_torch()
    device = find_device(options.task.device, options.transport, rank)
    meeting = make_meeting(environment, options.timeout, elastic) if elastic else None
    group = None if elastic else ProcessGroup(environment, options.timeout, options.task.device, options.transport)

    from harness.training.checkpoints import Checkpoints
    from harness.training.elastic.loop import ElasticLoop
    from harness.training.recorder import InterfaceCounters, Recorder
    from harness.training.train_loop import Training

    if options.strategy in TABLE:
        leave_out_compiler()
    torch.set_deterministic_debug_mode("error")
    torch.manual_seed(options.seed)
    identity = {
        "strategy": options.strategy,
        "options": str(strategy_options),
        "task": str(options.task),
        "seed": str(options.seed),
        "ranks": str(size),
    }
    versions = {"torch": str(torch.__version__), "python": platform.python_version()}
    facts = {"versions": versions, "device": described_device(device)}
    counters = InterfaceCounters(environment.get("GLOO_SOCKET_IFNAME", "lo"))
    checkpoints = Checkpoints(options.out / "checkpoints", rank, size, device) if options.out else None
    make = _makers(options, kind, strategy_options, linked)
    with (
        Recorder(options.out, rank, counters, settled=options.strategy in TABLE) as recorder,
        described(options, rank, size),
    ):
        training = Training(*make, options.schedule, recorder, checkpoints, identity)
        if meeting:
            ElasticLoop(meeting, device, options.out, training, facts).run(resume=options.resume)
        elif group:
            training.enter(group)
            training.load(options.resume)
            training.run(facts)
            training.close()


def _makers(
    options: TrainOptions, kind: type[Strategy], strategy_options: Any, linked: tuple[int, ...]
) -> tuple[Callable[[ProcessGroup], LearningTask], Callable[[ProcessGroup, Any, CommClock], Strategy]]:
    """The functions that make the task and the strategy of a process group."""
    import torch

    from harness.training.strategies.base import StrategyContext

    optimizer = _optimizer(torch, options.task)

    def task(group: ProcessGroup) -> LearningTask:
        return make_task(options.task, group.rank, group.size, options.seed)

    def strategy(group: ProcessGroup, model: Any, clock: CommClock) -> Strategy:
        near = tuple(place for place, other in enumerate(group.members) if other in linked)
        context = StrategyContext(model, optimizer, group.rank, group.size, near, clock, options.seed)
        return kind(context, strategy_options)

    return task, strategy


def _optimizer(torch: Any, options: TaskOptions) -> Callable[..., Any]:
    """A function that makes the optimizer of local steps from parameters."""
    if options.optimizer == "sgd":
        return lambda parameters: torch.optim.SGD(parameters, lr=options.lr, momentum=0.9)
    return lambda parameters: torch.optim.AdamW(parameters, lr=options.lr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="harness.training.train", description="Train a model over shaped links.")
    add_arguments(parser, TrainOptions)
    parser.add_argument("--json", metavar="OBJECT", help="all options as one JSON object, in place of the others")
    return parser


def read_arguments(arguments: Sequence[str], environment: Mapping[str, str]) -> Callable[[], TrainOptions]:
    """Parse a command line; argparse exits for an invalid argument.

    Returns:
        A function that makes the options, or raises InputError where they do not fit together.
    """
    parsed = _parser().parse_args(arguments)
    if parsed.out is None and environment.get("HARNESS_RUN_DIR"):
        parsed.out = Path(environment["HARNESS_RUN_DIR"])
    if parsed.json is None:
        return lambda: from_arguments(TrainOptions, parsed, describe=True)
    return lambda: _from_text(parsed.json)


def _from_text(text: str) -> TrainOptions:
    try:
        return TrainOptions.from_json(json.loads(text))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"--json: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and return the exit code."""
    options = read_arguments(sys.argv[1:] if arguments is None else arguments, os.environ)

    def run() -> None:
        check_environment(os.environ)
        _run(options(), os.environ)

    return command.ended(run)


if __name__ == "__main__":
    command.leave(main())
