"""What every strategy is: a training step that also shares what was learned.

A strategy of your own is one class in one file; docs/strategies.md walks through one, examples/my_strategy.py is it.
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


class CommClock:
    """Adds up how long this rank has waited for communication."""

    def __init__(self) -> None:
        self._seconds = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What happens within is waiting: the rank computes nothing meanwhile."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(time.perf_counter() - start)

    def add(self, seconds: float) -> None:
        """Count a wait that was measured otherwise."""
        self._seconds += seconds

    def take(self) -> float:
        """Seconds since the last call, which begin anew."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


@dataclass(frozen=True)
class StrategyContext:
    """What a strategy is given. The default process group (gloo) is there; all ranks' models are equal.

    Args:
        model: to be trained, in place.
        optimizer: makes the optimizer of local steps from parameters.
        rank: of this process.
        size: number of ranks.
        neighbours: the ranks with a direct link to this one, in order.
        clock: every wait for others goes through it: ``with setup.clock.waiting(): dist.all_reduce(...)``.
        seed: the same on all ranks.
    """

    model: nn.Module
    optimizer: Callable[[Iterable[Tensor]], Optimizer]
    rank: int
    size: int
    neighbours: tuple[int, ...]
    clock: CommClock
    seed: int = 0


@dataclass(frozen=True)
class NoOptions:
    """For a strategy without any."""


class Strategy(ABC):
    """One rank's part of a strategy. A step is computed, shared and applied by ``step``; override what differs.

    ``Options`` is a frozen dataclass of int, float, bool, str and Literal fields, all with defaults: what a user may
    set by ``--option H=20`` or in an experiment's file. It raises InputError where a value makes no sense.
    """

    Options: ClassVar[type[Any]] = NoOptions
    paper: ClassVar[str] = ""
    """Where it comes from: authors, title, arXiv number or venue."""

    def __init__(self, setup: StrategyContext, options: Any) -> None:
        self.setup, self.options = setup, options
        self.model = setup.model
        self.optimizer = setup.optimizer(self.model.parameters())
        self.steps = 0

    @property
    def module(self) -> nn.Module:
        """What a step calls with its batch: the model, or a wrapper of it."""
        return self.model

    @property
    def parameters(self) -> list[Tensor]:
        """The model's, in its order, without the graph."""
        return [parameter.data for parameter in self.model.parameters()]

    @property
    def size_bytes(self) -> int:
        """Of all parameters together."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self.model.parameters())

    @abstractmethod
    def bytes_per_step(self) -> float:
        """Payload that this rank sends per step, the mean over a whole period; without TCP's and IP's headers.

        With gloo's algorithms, see wire.py. tests/live/test_strategies.py holds it against what interfaces counted.
        """

    def step(self, loss_of: Callable[[nn.Module], Tensor]) -> float:
        """One step; the loss of this rank's batch before it.

        Args:
            loss_of: computes it, by calling the module that it is given.
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
        """Called when gradients are there and before the optimizer uses them."""

    def share_parameters(self) -> None:  # noqa: B027
        """Called after the optimizer's step, when ``self.steps`` counts it."""

    @property
    def busy(self) -> bool:
        """Whether something is under way that later steps hide; the same on all ranks. States are saved when not."""
        return False

    def settle(self) -> None:  # noqa: B027
        """Wait for what is still under way, so that the state is whole; called before it is saved and at the end."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, beside the model: tensors and plain values. Extend it where there is more."""
        return {"steps": self.steps, "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of ``state``; the model has its parameters already."""
        self.steps = state["steps"]
        self.optimizer.load_state_dict(state["optimizer"])


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """A copy of all of them in one dimension: one collective is faster than many."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def scatter_back(buffer: Tensor, tensors: Iterable[Tensor]) -> None:
    """Copy the parts of a flat buffer into the tensors that ``flat`` made it from."""
    start = 0
    for tensor in tensors:
        tensor.copy_(buffer[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()
