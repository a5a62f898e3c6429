"""DeMo: each rank keeps its momentum and exchanges only the largest coefficients of its DCT.

Peng, Quesnelle and Kingma, DeMo: Decoupled Momentum Optimization, arXiv:2411.19870, algorithm 1, with the signed step
and the averaging of the authors' code (bloc97/DeMo, demo.py). Per step:

    momentum = decay * momentum + gradient
    own      = of each block's DCT of the momentum, the topk largest coefficients
    momentum = momentum - inverse DCT of own
    parameters = parameters - lr * sign(inverse DCT of the mean over those ranks that sent a coefficient)

Only the learning rate of the workload's optimizer is used. (The authors' code multiplies gradients by the rate before
they enter the momentum: the same, while the rate does not change.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import SGD

from harness.training.strategies.base import Strategy, StrategyContext
from harness.training.strategies.sent_bytes import all_gather_sent
from harness.training.strategies.strategy_options import DeMoOptions

_CPU: Final = torch.device("cpu")


class DeMo(Strategy):
    """All ranks have the same parameters after every step; each has its own momentum.

    Sends to n - 1 ranks per step: min(topk, block) coefficients of each block as float32, with their places as 1, 2 or
    4 bytes.
    """

    Options = DeMoOptions
    paper = "Peng, Quesnelle and Kingma, DeMo, arXiv:2411.19870"

    def __init__(self, setup: StrategyContext, options: DeMoOptions) -> None:
        super().__init__(setup, options)
        self._lr = options.lr or float(self.optimizer.param_groups[0]["lr"])
        self.optimizer = SGD(self.model.parameters(), lr=self._lr)
        self._blocks = [Blocks(parameter.shape, options.chunk, parameter.device) for parameter in self.parameters]
        self._momenta = [torch.zeros_like(parameter) for parameter in self.parameters]

    def share_gradients(self) -> None:
        """Replace the gradients by the signs of the mean of what all ranks sent."""
        momenta = [momentum.clone() for momentum in self._momenta]  # a step that fails leaves them as they were
        own = [self._extract(*each) for each in zip(self._blocks, momenta, self.model.parameters(), strict=True)]
        message = torch.cat([part.contiguous().view(-1).view(torch.uint8) for pair in own for part in pair])
        messages = [torch.empty_like(message) for _ in range(self.setup.size)]
        with self.setup.clock.waiting():
            dist.all_gather(messages, message)
        self._momenta = momenta
        start = 0
        for blocks, parameter, (places, values) in zip(self._blocks, self.model.parameters(), own, strict=True):
            middle = start + places.numel() * places.element_size()
            end = middle + values.numel() * values.element_size()
            received = [
                (one[start:middle].clone().view(places.dtype), one[middle:end].clone().view(values.dtype))
                for one in messages
            ]
            parameter.grad = blocks.inverse(_mean(blocks, received)).sign_()
            parameter.data.mul_(1 - self._lr * self.options.weight_decay)
            start = end

    def bytes_per_step(self) -> float:
        """One all_gather of places and values."""
        size = 0
        for blocks in self._blocks:
            sent = blocks.count * min(self.options.topk, blocks.area)
            size += sent * (torch.empty(0, dtype=_place_type(blocks.area)).element_size() + 4)
        return all_gather_sent(size, self.setup.size)

    def state(self) -> dict[str, Any]:
        return super().state() | {"momenta": self._momenta}

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state)
        for momentum, saved in zip(self._momenta, state["momenta"], strict=True):
            momentum.copy_(saved)

    def _extract(self, blocks: Blocks, momentum: Tensor, parameter: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficients to send, as places in blocks and values; they are subtracted from the momentum."""
        momentum.mul_(self.options.decay)
        if parameter.grad is not None:
            momentum.add_(parameter.grad)
        waves = blocks.forward(momentum)
        places = waves.abs().topk(min(self.options.topk, blocks.area), sorted=False).indices
        values = waves.gather(1, places)
        momentum.sub_(blocks.inverse(torch.zeros_like(waves).scatter_(1, places, values)))
        return places.to(_place_type(blocks.area)), values


def _place_type(area: int) -> torch.dtype:
    """The smallest integer type for the places of a block."""
    return torch.uint8 if area <= 2**8 else torch.int16 if area <= 2**15 else torch.int32


def _mean(blocks: Blocks, received: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The mean of each coefficient over the ranks that sent it, or 0; added in one order, so that all ranks agree."""
    total = torch.zeros(blocks.count, blocks.area, device=received[0][1].device)
    senders = torch.zeros_like(total)
    for places, values in received:
        index, value = places.view(blocks.count, -1).long(), values.view(blocks.count, -1)
        total.scatter_add_(1, index, value)
        senders.scatter_add_(1, index, torch.ones_like(value))
    return total / senders.clamp_min(1)


def basis(size: int) -> Tensor:
    """A matrix whose product with a column is its DCT-II; orthogonal, so its transpose is the inverse."""
    place = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi / size * torch.outer(place, place + 0.5)) * math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    return waves.float()


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of a number that is at most the limit."""
    return next(divisor for divisor in range(min(number, limit), 0, -1) if number % divisor == 0)


class Blocks:
    """A tensor's shape, cut into equal blocks of at most ``chunk`` rows and columns.

    Rows are the first dimension, columns all others together; a tensor of one dimension is one row. A side that
    ``chunk`` does not divide has blocks of its largest divisor that is smaller.

    Args:
        shape: of the tensor.
        chunk: the longest side of a block.
        device: where the tensors are.
    """

    def __init__(self, shape: tuple[int, ...], chunk: int, device: torch.device = _CPU) -> None:
        self._shape = tuple(shape)
        rows = self._shape[0] if len(self._shape) > 1 else 1
        columns = math.prod(self._shape) // rows
        self._height, self._width = largest_divisor(rows, chunk), largest_divisor(columns, chunk)
        self._down, self._across = rows // self._height, columns // self._width
        self._left, self._right = basis(self._height).to(device), basis(self._width).to(device)

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self._down * self._across

    @property
    def area(self) -> int:
        """Elements of a block."""
        return self._height * self._width

    def forward(self, tensor: Tensor) -> Tensor:
        """Coefficients, a row per block."""
        blocks = tensor.reshape(self._down, self._height, self._across, self._width).transpose(1, 2)
        return (self._left @ blocks @ self._right.T).reshape(self.count, self.area)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """The tensor with these coefficients."""
        waves = coefficients.view(self._down, self._across, self._height, self._width)
        blocks = self._left.T @ waves @ self._right
        return blocks.transpose(1, 2).reshape(self._shape)
