"""Times a strategy's steps on a network, with a model that computes nothing: `predict --measure` runs it.

Run on every rank, with torchrun's variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, GLOO_SOCKET_IFNAME):

    python -m harness.training.pace --parameters 1000000 --step-time 0.026 [--strategy diloco] [--option H=8]...
        [--periods 3]

Each step sleeps instead of computing, then the strategy sends what it would for a model of so many parameters in 12
equal tensors. The first period, in which connections are new, is not timed. Rank 0 prints JSON with the times of its
own steps: ``{"result": {"steps", "seconds_per_step", "seconds_compute", "seconds_waiting", "utilisation"}}``;
``utilisation`` is --step-time / seconds_per_step. Exit codes are those of harness.training.bench.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.training import command
from harness.training.group import ProcessGroup, blamed, check_environment
from harness.training.no_compiler import leave_out_compiler
from harness.training.strategies.catalogue import TABLE, find_strategy
from harness.training.strategies.option_values import read_options
from harness.training.train import neighbours

if TYPE_CHECKING:
    from harness.training.strategies.base import CommClock, StrategyContext

TENSORS: Final = 12


def _run(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    group = ProcessGroup(environment, options.timeout)
    if options.strategy in TABLE:
        leave_out_compiler()
    from harness.training.strategies.base import CommClock

    kind = find_strategy(options.strategy)
    settings = read_options(options.strategy, kind.Options, dict(options.option))
    every = max((getattr(settings, name) for name in ("H", "interval") if hasattr(settings, name)), default=1)
    layers, clock = _layers(options.parameters), CommClock()
    context = _context(layers, group, neighbours(environment, group.rank, group.size), clock)

    def loss_of(module: Any) -> Any:
        """Compute all gradients for ddp, which waits for them; for other strategies one, which costs nothing."""
        asleep = time.perf_counter() + options.step_time
        loss = module() if options.strategy == "ddp" else layers[0][0][:1].sum() * 0
        time.sleep(max(0.0, asleep - time.perf_counter()))
        return loss

    with blamed(group.rank, "measuring"):
        strategy = kind(context, settings)
        for _ in range(max(every, options.least)):
            strategy.step(loss_of)
        strategy.settle()
        group.dist.barrier()
        clock.take()
        steps = every * max(options.periods, -(-options.least // every))
        began = time.perf_counter()
        for _ in range(steps):
            strategy.step(loss_of)
        lasted = (time.perf_counter() - began) / steps
        strategy.settle()
    waiting = min(lasted, clock.take() / steps)
    result = {
        "steps": steps,
        "seconds_per_step": lasted,
        "seconds_compute": lasted - waiting,
        "seconds_waiting": waiting,
        "utilisation": options.step_time / lasted,
    }
    group.close()
    if group.rank == 0:
        print(json.dumps({"result": result}), flush=True)


def _layers(parameters: int) -> list[Any]:
    """A model's layers, of one tensor each."""
    import torch
    from torch import nn

    share = parameters // TENSORS
    sizes = [parameters - share * (TENSORS - 1), *[share] * (TENSORS - 1)]
    return [nn.ParameterList([torch.zeros(size)]) for size in sizes if size]


def _context(layers: list[Any], group: ProcessGroup, near: tuple[int, ...], clock: CommClock) -> StrategyContext:
    import torch

    from harness.training.strategies.base import StrategyContext

    def optimizer(parameters: Any) -> Any:
        return torch.optim.SGD(parameters, lr=0.1)

    return StrategyContext(torch.nn.ModuleList(layers), optimizer, group.rank, group.size, near, clock)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="harness.training.pace", description="Time a strategy's steps on a network.")
    parser.add_argument("--parameters", type=command.count, required=True, help="number of parameters, each a float32")
    parser.add_argument("--step-time", type=command.seconds, required=True, help="seconds that a step computes")
    parser.add_argument("--strategy", default="ddp", help="name")
    parser.add_argument(
        "--option",
        type=command.pair,
        action="append",
        default=[],
        help="option of the strategy, NAME=VALUE; may be repeated",
    )
    parser.add_argument("--periods", type=command.count, default=3, help="periods of the strategy to time, at least")
    parser.add_argument("--least", type=command.count, default=3, help="steps to time, at least")
    parser.add_argument("--timeout", type=command.seconds, default=1800, help=command.TIMEOUT_HELP)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and return the exit code."""
    options = _options(sys.argv[1:] if arguments is None else arguments)

    def run() -> None:
        check_environment(os.environ)
        _run(options, os.environ)

    return command.ended(run)


if __name__ == "__main__":
    command.leave(main())
