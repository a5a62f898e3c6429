"""What a rank sends for a collective of gloo, in bytes of payload. Pure.

Read in pytorch/gloo at commit 70dc360: gloo/allreduce.cc (``ring``, which is what runs unless another algorithm is
asked for, and PyTorch's ProcessGroupGloo.cpp asks for none), gloo/allgather.cc, gloo/broadcast.cc.
tests/live/test_strategies.py holds it against the counters of interfaces.
"""

from __future__ import annotations


def all_reduce_sent(size: float, ranks: int) -> float:
    """Ring: reduce-scatter, then all-gather; each rank sends (n - 1)/n of the tensor twice.

    Exact as the mean over the ranks. One rank sends twice the tensor but for two of the n chunks, which are equal but
    for the last: it may be shorter, in tensors of a few elements empty.

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
