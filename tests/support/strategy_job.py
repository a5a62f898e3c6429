"""Strategies on one rank of a real process group: `python -m tests.support.strategy_job`, with torchrun's variables.

Trains a tiny model with every case of the variable STRATEGY_CASES (JSON: name -> case), in turn. Prints one JSON
object: what became of each case by its name.
"""

from __future__ import annotations

import io
import json
import os
import sys
from functools import partial

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional

from harness.training.strategies.base import CommClock, StrategyContext, flat
from harness.training.strategies.catalogue import find_strategy
from harness.training.strategies.option_values import read_options

OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.1),
    "adamw": partial(torch.optim.AdamW, lr=0.01),
    "none": partial(torch.optim.SGD, lr=0.0),
}


class Model(nn.Module):
    """83 parameters in two layers, which are used in the other order than they are registered in."""

    def __init__(self):
        super().__init__()
        self.head, self.body = nn.Linear(8, 3), nn.Linear(6, 8)

    def forward(self, inputs):
        return self.head(torch.tanh(self.body(inputs)))


def make_model():
    """The same on all ranks."""
    torch.manual_seed(0)
    return Model()


def batch(step, rank):
    """Five examples; each rank has others."""
    draws = torch.Generator().manual_seed(1000 * step + rank)
    return torch.randn(5, 6, generator=draws), torch.randint(3, (5,), generator=draws)


def loss_of(module, examples):
    return functional.cross_entropy(module(examples[0]), examples[1])


class Run:
    """One rank's training with a strategy."""

    def __init__(self, case, rank, size, own_start=0):
        self.rank, self.clock = rank, CommClock()
        self.model = make_model()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter += own_start * rank**2  # uneven, so that wrong weights move the mean
        ring = tuple(sorted({(rank - 1) % size, (rank + 1) % size}))
        neighbours = tuple(case["neighbours"][rank]) if "neighbours" in case else ring
        optimizer = OPTIMIZERS[case.get("optimizer", "adamw")]
        setup = StrategyContext(self.model, optimizer, rank, size, neighbours, self.clock, case.get("seed", 0))
        kind = find_strategy(case["strategy"])
        self.strategy = kind(setup, read_options(case["strategy"], kind.Options, case.get("options", {})))

    def train(self, first, last):
        """The parameters before the first step and after each one."""
        path = [flat(self.strategy.parameters).tolist()]
        for step in range(first, last):
            examples = batch(step, self.rank)
            self.strategy.step(lambda module, examples=examples: loss_of(module, examples))
            path.append(flat(self.strategy.parameters).tolist())
        return path

    def saved(self):
        """The whole state as a file has it."""
        self.strategy.settle()
        file = io.BytesIO()
        torch.save({"model": self.model.state_dict(), "strategy": self.strategy.state()}, file)
        return file.getvalue()

    def load(self, data):
        state = torch.load(io.BytesIO(data), weights_only=True)
        self.model.load_state_dict(state["model"])
        self.strategy.load_state(state["strategy"])


def perform(case, rank, size):
    steps, cut = case["steps"], case.get("cut")
    run = Run(case, rank, size, case.get("own_start", 0))
    path = run.train(0, cut or steps)
    if cut:
        data = run.saved()
        run = Run(case, rank, size)
        run.load(data)
        path += run.train(cut, steps)[1:]
    run.strategy.settle()
    return {"path": path, "bytes": run.strategy.bytes_per_step(), "waited": run.clock.take()}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    cases = json.loads(os.environ["STRATEGY_CASES"])
    print(json.dumps({name: perform(case, rank, size) for name, case in cases.items()}))
    sys.stdout.flush()
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
