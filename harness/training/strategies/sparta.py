"""SPARTA: in every step a random share of the parameters is averaged.

Beton, Reed, Howes, Cheema and Baioumy (EXO Labs), Improving the Efficiency of Distributed Training using Sparse
Parameter Averaging, 2025, openreview.net/forum?id=stFPf3gzq1. The authors' code (exo-explore/gym) draws a mask on rank
0 and broadcasts it; here every rank draws the same indices from the seed and the step, so only values are sent.
Of every 1/p consecutive parameters one is drawn: each with probability p, and the number is the same in every step.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from harness.training.strategies.base import Strategy, StrategyContext
from harness.training.strategies.sent_bytes import all_reduce_sent
from harness.training.strategies.strategy_options import SpartaOptions


class Sparta(Strategy):
    """Ranks have different parameters, which the averages keep close.

    Sends 2 (n - 1)/n of p times the parameters' bytes every ``interval`` steps.
    """

    Options = SpartaOptions
    paper = "Beton et al., Sparse Parameter Averaging, 2025, openreview.net/forum?id=stFPf3gzq1"

    def __init__(self, setup: StrategyContext, options: SpartaOptions) -> None:
        super().__init__(setup, options)
        sizes = [parameter.numel() for parameter in self.parameters]
        self._ends = torch.tensor(sizes).cumsum(0)
        self._count = max(1, round(sum(sizes) * options.p))

    def share_parameters(self) -> None:
        """Average the parameters drawn for this step."""
        if self.steps % self.options.interval:
            return
        places = self._places()
        values = torch.cat([own[place] for own, place in places]) / self.setup.size
        with self.setup.clock.waiting():
            dist.all_reduce(values)
        for (own, place), mean in zip(places, values.split([len(place) for _, place in places]), strict=True):
            own[place] = mean

    def bytes_per_step(self) -> float:
        """One all_reduce of the drawn values."""
        width = self.size_bytes / int(self._ends[-1])
        return all_reduce_sent(self._count * width, self.setup.size) / float(self.options.interval)

    def _places(self) -> list[tuple[Tensor, Tensor]]:
        """Each tensor, flat, with its drawn indices."""
        drawn = draw(int(self._ends[-1]), self._count, self.setup.seed, self.steps)
        ends = torch.searchsorted(drawn, self._ends).tolist()
        starts = [0, *ends[:-1]]
        firsts = [0, *self._ends[:-1].tolist()]
        return [
            (own.view(-1), (drawn[start:end] - first).to(own.device))
            for own, start, end, first in zip(self.parameters, starts, ends, firsts, strict=True)
        ]


def draw(total: int, count: int, seed: int, step: int) -> Tensor:
    """Ascending indices, one from each of ``count`` ranges of equal length; the same for the same seed and step.

    Args:
        total: indices are below it.
        count: how many.
        seed: of the run.
        step: of the run.
    """
    mixed = np.random.SeedSequence(seed % 2**64, spawn_key=(step,)).generate_state(1)  # torch uses 32 bits of a seed
    chance = torch.Generator().manual_seed(int(mixed[0]))
    edges = torch.arange(count + 1) * total // count
    starts, lengths = edges[:-1], edges.diff()
    return starts + (torch.rand(count, dtype=torch.float64, generator=chance) * lengths).long()
