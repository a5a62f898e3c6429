"""The memory of torch's PowerSGD hook as plain values, and what it sends.

Vogels, Karimireddy and Jaggi, PowerSGD: Practical Low-Rank Gradient Compression for Distributed Optimization, NeurIPS
2019, arXiv:1905.13727; torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState

FIRST: Final = 2
"""Steps that are sent uncompressed: the fewest that torch allows with error feedback."""
_MIN_RATE: Final = 2
"""A matrix is compressed where that makes it smaller than 1/2: the hook's default, ``min_compression_rate``."""
_MEMORY: Final = ("error_dict", "p_memory_dict", "q_memory_dict")


def make_memory(rank: int, seed: int) -> PowerSGDState:
    """A memory for a run's beginning; the same seed on all ranks. A gradient of zeros stays one, and makes no NaN."""
    return PowerSGDState(
        None,
        matrix_approximation_rank=rank,
        start_powerSGD_iter=FIRST,
        min_compression_rate=_MIN_RATE,
        orthogonalization_epsilon=1e-8,
        random_seed=seed % 2**32,
    )


def numbers_sent(shapes: Iterable[tuple[int, ...]], rank: int) -> int:
    """Elements that are averaged per step: P and Q of each matrix, the rest as it is.

    Args:
        shapes: of the parameters; the first dimension are a matrix's rows.
        rank: of the approximation.
    """
    total = 0
    for shape in shapes:
        rows, columns = shape[0], int(np.prod(shape[1:]))
        small = (rows + columns) * min(rows, columns, rank)
        total += small if small * _MIN_RATE < rows * columns else rows * columns
    return total


def saved(memory: PowerSGDState) -> dict[str, Any]:
    """What a resumed run needs of it: tensors and plain values."""
    kind, keys, *rest = memory.rng.get_state()
    return {
        "iter": memory.iter,
        "rng": [kind, keys.tolist(), *rest],
        **{name: getattr(memory, name) for name in _MEMORY},
    }


def restore(memory: PowerSGDState, state: Mapping[str, Any]) -> None:
    """The inverse of ``saved``."""
    kind, keys, *rest = state["rng"]
    memory.rng.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    memory.iter = state["iter"]
    for name in _MEMORY:
        setattr(memory, name, dict(state[name]))
