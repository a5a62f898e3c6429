"""The discrete cosine transform (DCT-II, orthonormal) of a matrix in blocks.

Ahmed, Natarajan and Rao, Discrete Cosine Transform, IEEE Transactions on Computers, 1974.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def basis(size: int) -> Tensor:
    """A matrix whose product with a column is its DCT-II; orthogonal, so its transpose is the inverse."""
    place = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi / size * torch.outer(place, place + 0.5)) * math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    return waves.float()


def largest_divisor(number: int, limit: int) -> int:
    """Of a number, at most the limit."""
    return next(divisor for divisor in range(min(number, limit), 0, -1) if number % divisor == 0)


class Blocks:
    """A tensor's shape, cut into equal blocks of at most ``chunk`` rows and columns.

    Rows are the first dimension, columns all others together; a tensor of one dimension is one row. A side that
    ``chunk`` does not divide has blocks of its largest divisor that is smaller.

    Args:
        shape: of the tensor.
        chunk: the longest side of a block.
    """

    def __init__(self, shape: tuple[int, ...], chunk: int) -> None:
        self._shape = tuple(shape)
        rows = self._shape[0] if len(self._shape) > 1 else 1
        columns = math.prod(self._shape) // rows
        self._height, self._width = largest_divisor(rows, chunk), largest_divisor(columns, chunk)
        self._down, self._across = rows // self._height, columns // self._width
        self._left, self._right = basis(self._height), basis(self._width)

    @property
    def count(self) -> int:
        """How many blocks."""
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
