"""The base class of strategies: a training step that also shares what was learned.

Your own strategy is one class in one file: docs/strategies.md explains examples/my_strategy.py.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from harness.training.strategies.strategy_options import NoOptions


class CommClock:
    """Adds up the time that this rank waits for communication.

    Args:
        settle: waits until a GPU has done its work, which does not count as communication.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self._seconds, self.settle = 0.0, settle

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as waiting; the rank must not compute in it."""
        self.settle()
        start = time.perf_counter()
        try:
            yield
            self.settle()
        finally:
            self.add(time.perf_counter() - start)

    def add(self, seconds: float) -> None:
        """Add a wait that was measured in another way."""
        self._seconds += seconds

    def take(self) -> float:
        """Seconds of waiting since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


@dataclass(frozen=True)
class StrategyContext:
    """What a strategy gets. The default process group exists, and all ranks' models are equal.

    Args:
        model: trained in place.
        optimizer: makes the optimizer of local steps from parameters.
        rank: of this process.
        size: number of ranks.
        neighbours: the ranks with a direct link to this one, ascending.
        clock: must measure every wait for other ranks: ``with setup.clock.waiting(): dist.all_reduce(...)``.
        seed: the same on all ranks.
    """

    model: nn.Module
    optimizer: Callable[[Iterable[Tensor]], Optimizer]
    rank: int
    size: int
    neighbours: tuple[int, ...]
    clock: CommClock
    seed: int = 0


class Strategy(ABC):
    """One rank's part of a strategy. ``step`` computes, shares and applies a step; override what differs.

    ``Options`` is a frozen dataclass of int, float, bool, str and Literal fields with defaults, which users set by
    ``--option H=20`` or in an experiment's file. It raises InputError for invalid values.
    """

    Options: ClassVar[type[Any]] = NoOptions
    paper: ClassVar[str] = ""
    """Authors, title, arXiv number or venue."""

    def __init__(self, setup: StrategyContext, options: Any) -> None:
        self.setup, self.options = setup, options
        self.model = setup.model
        self.optimizer = setup.optimizer(self.model.parameters())
        self.steps = 0

    @property
    def module(self) -> nn.Module:
        """What ``step`` passes to ``loss_of``: the model, or a wrapper of it."""
        return self.model

    @property
    def parameters(self) -> list[Tensor]:
        """The data of the model's parameters, in the model's order."""
        return [parameter.data for parameter in self.model.parameters()]

    @property
    def size_bytes(self) -> int:
        """Bytes of all parameters."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self.model.parameters())

    @abstractmethod
    def bytes_per_step(self) -> float:
        """Payload bytes that this rank sends per step, without headers: the mean over a period, by sent_bytes.py.

        tests/live/test_strategies.py compares it with the interfaces' counters.
        """

    def step(self, loss_of: Callable[[nn.Module], Tensor]) -> float:
        """Do one step and return the loss of this rank's batch before it.

        Args:
            loss_of: computes the loss of a module.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss = loss_of(self.module)
        self.backward(loss)
        self.share_gradients()
        self.optimizer.step()
        self.steps += 1
        self.share_parameters()
        return float(loss.detach())

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients."""
        loss.backward()

    def share_gradients(self) -> None:  # noqa: B027
        """Called after the backward pass and before the optimizer's step."""

    def share_parameters(self) -> None:  # noqa: B027
        """Called after the optimizer's step; ``self.steps`` already counts it."""

    @property
    def busy(self) -> bool:
        """Whether communication that later steps overlap is in flight; the same on all ranks. Saving waits for it."""
        return False

    def settle(self) -> None:  # noqa: B027
        """Wait for communication in flight; called before saving, and at the end."""

    def abandon(self) -> None:  # noqa: B027
        """Forget communication in flight and drop what uses the process group: it has failed and is destroyed next.

        ``state`` is called afterwards, or nothing is; or this again, where the next group fails before it has begun.
        """

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beside the model, as tensors and plain values. Extend it if there is more."""
        return {"steps": self.steps, "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of ``state``; the model's parameters are already loaded."""
        self.steps = state["steps"]
        self.optimizer.load_state_dict(state["optimizer"])


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """A copy of all tensors in one dimension, for one collective instead of many."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def scatter_back(buffer: Tensor, tensors: Iterable[Tensor]) -> None:
    """Copy the parts of a flat buffer into the tensors that ``flat`` made it from."""
    start = 0
    for tensor in tensors:
        tensor.copy_(buffer[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()
