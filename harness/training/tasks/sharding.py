"""Divides examples among ranks: evenly at random, or unevenly by label. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from harness.errors import InputError, quoted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Sharding:
    """How examples are divided among ranks.

    Args:
        alpha: of the Dirichlet distribution; None: evenly at random (IID). The smaller, the more the shards differ:
            nearly IID at 100; at 0.1 most ranks have only two or three labels.
    """

    alpha: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """``iid`` or ``dirichlet:ALPHA``. Raises InputError."""
        if text == "iid":
            return cls()
        name, _, number = text.partition(":")
        try:
            alpha = float(number)
        except ValueError:
            alpha = 0.0
        if name != "dirichlet" or not 0 < alpha < math.inf:
            raise InputError(
                f"shards {quoted(text)}: write iid, or dirichlet:ALPHA with a number over 0, e.g. dirichlet:0.3"
            )
        return cls(alpha)

    def divide(self, labels: NDArray[np.int64], ranks: int, seed: int) -> list[Indices]:
        """The examples of each rank: each example belongs to one rank, and each rank has at least one.

        Uneven shards are those of Hsu, Qi and Brown, Measuring the Effects of Non-Identical Data Distribution for
        Federated Visual Classification (2019, arXiv:1909.06335), but per label, as in Li et al., arXiv:2102.02079: a
        symmetric Dirichlet distribution gives the ranks' shares of each label.

        Args:
            labels: of all examples.
            ranks: number of ranks.
            seed: the same on all ranks.
        """
        import numpy as np

        if len(labels) < ranks:
            raise InputError(f"{len(labels)} examples are too few for {ranks} ranks")
        random = np.random.default_rng([seed, 0x5A4D])
        if self.alpha is None:
            return [np.sort(part) for part in np.array_split(random.permutation(len(labels)), ranks)]
        parts: list[list[Indices]] = [[] for _ in range(ranks)]
        for label in np.unique(labels):
            of_label = random.permutation(np.flatnonzero(labels == label))
            shares = random.dirichlet(np.full(ranks, self.alpha))
            cuts = np.rint(np.cumsum(shares)[:-1] * len(of_label)).astype(int)
            for part, chosen in zip(parts, np.split(of_label, cuts), strict=True):
                part.append(chosen)
        return _none_empty([np.sort(np.concatenate(part)) for part in parts])


def _none_empty(shards: list[Indices]) -> list[Indices]:
    """Give each rank without examples one of the rank that has the most."""
    for rank, shard in enumerate(shards):
        if len(shard) == 0:
            richest = max(range(len(shards)), key=lambda other: len(shards[other]))
            shards[rank], shards[richest] = shards[richest][:1], shards[richest][1:]
    return shards


def batch_indices(shard: Indices, size: int, step: int, seed: int, rank: int) -> Indices:
    """The examples of a step's batch; each epoch has a new random order, and shards smaller than a batch repeat.

    Args:
        shard: this rank's examples.
        size: of a batch.
        step: from 1.
        seed: of the run.
        rank: of this process.
    """
    import numpy as np

    first = (step - 1) * size
    positions = np.arange(first, first + size)
    epochs, places = np.divmod(positions, len(shard))
    chosen = np.empty(size, dtype=np.int64)
    for epoch in np.unique(epochs):
        order = np.random.default_rng([seed, rank, int(epoch), 0xBA7C]).permutation(shard)
        chosen[epochs == epoch] = order[places[epochs == epoch]]
    return chosen
