"""What every learning task is: a model, a batch for each step, and how good a model is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]
"""Inputs and what they should give."""


@dataclass(frozen=True)
class Score:
    """How good a model is on the held-out data.

    Args:
        loss: mean cross entropy, in nats.
        accuracy: share that is right, or None where that says little.
    """

    loss: float
    accuracy: float | None = None


class LearningTask(Protocol):
    """One rank's view. Everything follows from the seed, the rank and the step, so that a run can be resumed."""

    def model(self) -> nn.Module:
        """A new model; the same on all ranks."""
        ...

    def batch(self, step: int) -> Batch:
        """This rank's batch for a step, from 1."""
        ...

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Mean loss over a batch, with its graph."""
        ...

    def evaluate(self, model: nn.Module) -> Score:
        """On data that no rank learns from, the same on all ranks."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a record should say of the data, e.g. how many examples this rank has."""
        ...
