"""Payload bytes that a rank sends for a collective of gloo. Pure.

By pytorch/gloo at commit 70dc360: gloo/allreduce.cc (``ring``, the default; PyTorch's ProcessGroupGloo.cpp selects no
other), gloo/allgather.cc, gloo/broadcast.cc. tests/live/test_strategies.py compares it with the interfaces' counters.
"""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["int8", "int4", "e3m0"]
"""How quantise.py writes numbers."""
BLOCK: Final = 256
"""Numbers that share a scale there."""


def all_reduce_sent(size: float, ranks: int) -> float:
    """Ring: reduce-scatter, then all-gather; each rank sends (n - 1)/n of the tensor twice.

    Exact as the mean over the ranks: a rank sends twice the tensor except two of the n chunks, and the last chunk may
    be shorter, or empty for tensors of a few elements.

    Args:
        size: of the tensor, in bytes.
        ranks: how many.
    """
    return 2 * (ranks - 1) / ranks * size


def all_gather_sent(size: float, ranks: int) -> float:
    """Ring: each rank passes on n - 1 blocks.

    Args:
        size: of one rank's block, in bytes.
        ranks: how many.
    """
    return (ranks - 1) * size


def encoded_size(count: int, kind: Kind) -> int:
    """Bytes of a message.

    Args:
        count: of the numbers.
        kind: of their codes.
    """
    return 4 * -(-count // BLOCK) + (count if kind == "int8" else -(-count // 2))
