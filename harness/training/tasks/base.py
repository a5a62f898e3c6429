"""The protocol of learning tasks: a model, a batch per step, and an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]
"""Inputs and targets."""


@dataclass(frozen=True)
class Score:
    """A model's score on the held-out data.

    Args:
        loss: mean cross entropy, in nats.
        accuracy: share of correct answers; None for tasks without one.
    """

    loss: float
    accuracy: float | None = None


def place_of(model: nn.Module) -> torch.device:
    """The device of its parameters."""
    return next(model.parameters()).device


class LearningTask(Protocol):
    """One rank's part of a task. Seed, rank and step determine everything, so that a run can be resumed."""

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
        """The score on held-out data, the same data on all ranks."""
        ...

    def facts(self) -> dict[str, Any]:
        """Facts about the data for the record, e.g. how many examples this rank has."""
        ...
