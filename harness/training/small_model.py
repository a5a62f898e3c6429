"""The small model that harness.training.small_loop trains."""

from __future__ import annotations

import math
from typing import Any, Final

from harness.training.collectives import WIDTH

INPUTS: Final = 16
SAMPLES: Final = 16
"""Of each rank."""
SMALLEST: Final = WIDTH * (INPUTS + 3)
"""Bytes of a model with one hidden unit."""
_LEARNING_RATE: Final = 0.2


class Model:
    """The MLP: hidden weights, hidden biases, output weights, output bias and padding in one flat array.

    Uniform draws and single operations round alike on every kind of CPU, so ranks begin and stay the same.

    Args:
        torch: the module.
        size: bytes of the parameters, SMALLEST or more; cut to whole elements.
        rank: whose samples to learn from.
    """

    def __init__(self, torch: Any, size: int, rank: int) -> None:
        count = size // WIDTH
        hidden = (count - 1) // (INPUTS + 2)
        draws = torch.Generator().manual_seed(0)
        self._torch = torch
        self._parts = [INPUTS * hidden, hidden, hidden, 1, count - hidden * (INPUTS + 2) - 1]
        self.parameters = ((torch.rand(count, generator=draws) - 0.5) * math.sqrt(12)).requires_grad_()
        draws.manual_seed(1 + rank)
        self._inputs = torch.randn(SAMPLES, INPUTS, generator=draws) / math.sqrt(INPUTS)
        self._targets = torch.sin(3 * self._inputs.sum(1))

    def gradients(self) -> tuple[Any, float]:
        """Of this rank's samples: the flat gradients, and the loss."""
        weights, biases, output, offset, _ = self.parameters.split(self._parts)
        hidden = self._torch.tanh(self._torch.addmm(biases, self._inputs, weights.view(-1, INPUTS).t()))
        loss = (hidden @ output / math.sqrt(len(biases)) + offset - self._targets).square().mean()
        (found,) = self._torch.autograd.grad(loss, self.parameters)
        return found, loss.item()

    def apply(self, mean: Any) -> None:
        """One step down these gradients, which are spent."""
        with self._torch.no_grad():
            self.parameters -= mean.mul_(_LEARNING_RATE)

    def digest(self) -> int:
        """48 bits that differ where parameters do."""
        words = self.parameters.detach().view(self._torch.int32).to(self._torch.int64)
        odd = self._torch.arange(1, 2 * len(words), 2)
        return int((words * odd).sum()) & (2**48 - 1)
