"""Train a model on real data over the links of a network.

Run on every rank, with torchrun's variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, GLOO_SOCKET_IFNAME):

    python -m harness.training.train [--task digits|mnist|text] [--strategy ddp] [--option H=20]... [--steps 200]
        [--shards iid|dirichlet:0.3] [--batch 32] [--optimizer adamw|sgd] [--lr 0.001] [--seed 0] [--out FOLDER] ...

Everything but the network's timing follows from --seed. With --out, or HARNESS_RUN_DIR in the environment, every rank
appends what it does to FOLDER/rank-R.jsonl (docs/runs.md) and saves its state every --checkpoint-every steps; --resume
goes on from there, and gives the same model as a run that was not stopped.

Exit codes: 0; 2 wrong input; 130 interrupted; 69 no torch, or no data; 70 a rank failed, with one line on standard
error that names rank, step and cause.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.training import command, flight_recorder
from harness.training.group import ProcessGroup, check_environment
from harness.training.strategies.catalogue import find_strategy
from harness.training.strategies.option_values import read_options
from harness.training.tasks.catalogue import make_task
from harness.training.tasks.task_options import TASKS, TaskOptions


def neighbours(environment: Mapping[str, str], rank: int, size: int) -> tuple[int, ...]:
    """The ranks with a direct link to this one, as HARNESS_NEIGHBOURS says; without it, all others.

    Raises InputError.
    """
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


def _run(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    task_options = TaskOptions(**{field.name: getattr(options, field.name) for field in fields(TaskOptions)})
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    kind = find_strategy(options.strategy)
    strategy_options = read_options(options.strategy, kind.Options, dict(options.options))
    flight_recorder.enable(os.environ)
    group = ProcessGroup(environment, options.timeout)
    import torch

    from harness.training.recorder import InterfaceCounters, Recorder
    from harness.training.train_loop import Schedule, Training, setup_maker

    torch.use_deterministic_algorithms(True)
    torch.manual_seed(options.seed)
    task = make_task(task_options, group.rank, group.size, options.seed)
    make = setup_maker(
        kind,
        strategy_options,
        _optimizer(torch, task_options),
        group,
        neighbours(environment, group.rank, group.size),
        options.seed,
    )
    counters = InterfaceCounters(environment.get("GLOO_SOCKET_IFNAME", "lo"))
    states = options.out / "checkpoints" if options.out else None
    identity = {
        "strategy": options.strategy,
        "options": str(strategy_options),
        "task": str(task_options),
        "seed": str(options.seed),
        "ranks": str(group.size),
    }
    course = Schedule(options.steps, options.evaluate_every, options.checkpoint_every, states, options.resume, identity)
    with Recorder(options.out, group.rank, counters, flight_recorder.FlightLog()) as recorder:
        versions = {"torch": str(torch.__version__), "python": platform.python_version()}
        Training(group, task, make, course, recorder).run({"versions": versions})
    group.close()


def _optimizer(torch: Any, options: TaskOptions) -> Callable[..., Any]:
    """Makes the optimizer of local steps."""
    if options.optimizer == "sgd":
        return lambda parameters: torch.optim.SGD(parameters, lr=options.lr, momentum=0.9)
    return lambda parameters: torch.optim.AdamW(parameters, lr=options.lr)


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE, like H=20")
    return name, value


def _seed(text: str) -> int:
    if (number := command.whole(text)) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text} is over 2^63 - 1, the largest that torch takes")
    return number


def _options(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    folder = Path(environment["HARNESS_RUN_DIR"]) if environment.get("HARNESS_RUN_DIR") else None
    plain = TaskOptions()
    parser = argparse.ArgumentParser(prog="harness.training.train", description="Train a model over shaped links.")
    parser.add_argument("--task", dest="name", choices=TASKS, default=plain.name, help="what is learned")
    parser.add_argument("--data", help="a folder with MNIST, or a text file")
    parser.add_argument("--shards", default=plain.shards, help="who has which examples: iid, or dirichlet:ALPHA")
    parser.add_argument("--batch", type=command.count, default=plain.batch, help="examples per rank and step")
    parser.add_argument("--optimizer", choices=["adamw", "sgd"], default=plain.optimizer, help="of local steps")
    parser.add_argument("--lr", type=float, default=plain.lr, help="its learning rate")
    parser.add_argument("--width", type=command.count, help="of the model's hidden layers")
    parser.add_argument("--layers", type=command.count, default=plain.layers, help="of the text model")
    parser.add_argument("--context", type=command.count, default=plain.context, help="characters in a window of text")
    parser.add_argument("--strategy", default="ddp", help="how ranks share what they learn; or ./mine.py:Mine")
    parser.add_argument("--option", dest="options", type=_option, action="append", default=[], help="of it: H=20")
    parser.add_argument("--steps", type=command.count, default=200, help="how many")
    parser.add_argument("--seed", type=_seed, default=0, help="of the model, the data and the strategy")
    parser.add_argument("--evaluate-every", type=command.count, default=10, help="steps")
    parser.add_argument("--checkpoint-every", type=command.whole, default=50, help="steps; 0: never")
    parser.add_argument("--resume", action="store_true", help="go on from the newest state in FOLDER/checkpoints")
    parser.add_argument("--timeout", type=command.seconds, default=1800, help=command.TIMEOUT_HELP)
    parser.add_argument("--out", type=Path, default=folder, help="folder for rank-R.jsonl and checkpoints")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; the exit code."""
    options = _options(sys.argv[1:] if arguments is None else arguments, os.environ)

    def run() -> None:
        check_environment(os.environ)
        if options.resume and not options.out:
            raise InputError("--resume: where are the states? Name their folder by --out")
        _run(options, os.environ)

    return command.ended(run)


if __name__ == "__main__":
    command.leave(main())
