"""Gossip: every rank averages with its neighbours in the topology only, without a global collective.

D-PSGD: Lian et al., Can Decentralized Algorithms Outperform Centralized Algorithms? A Case Study for Decentralized
Parallel Stochastic Gradient Descent, NeurIPS 2017, arXiv:1705.09056. There the average is of the parameters before the
local step, here of those after it (adapt, then combine). Weights are Metropolis-Hastings' (Xiao, Boyd and Lall, A
Scheme for Robust Distributed Sensor Fusion Based on Average Consensus, IPSN 2005): 1 / (1 + the greater degree of the
two) for a neighbour, the rest for oneself. Both ends of a link know them, and they preserve the mean over all ranks.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from harness.training.device import off_device
from harness.training.strategies.base import Strategy, StrategyContext, flat, scatter_back
from harness.training.strategies.strategy_options import GossipOptions


class Gossip(Strategy):
    """Ranks have different parameters: the better connected the topology, the closer they are.

    Sends the parameters' bytes once per neighbour every H steps: ranks with more neighbours send more.
    """

    Options = GossipOptions
    paper = "Lian et al., D-PSGD, NeurIPS 2017, arXiv:1705.09056"

    def __init__(self, setup: StrategyContext, options: GossipOptions) -> None:
        super().__init__(setup, options)
        degree = len(setup.neighbours)
        theirs = [int(other) for other in self._exchange(torch.tensor([degree]))]
        self._weights = [1 / (1 + max(degree, other)) for other in theirs]

    def share_parameters(self) -> None:
        """Average with the neighbours after every H-th step."""
        if self.steps % self.options.H:
            return
        own = flat(self.parameters)
        mixed = own * (1 - sum(self._weights))
        for weight, other in zip(self._weights, self._exchange(own), strict=True):
            mixed += weight * other
        scatter_back(mixed, self.parameters)

    def bytes_per_step(self) -> float:
        """All parameters to each neighbour, in H steps."""
        return self.size_bytes * len(self.setup.neighbours) / float(self.options.H)

    def _exchange(self, own: Tensor) -> list[Tensor]:
        """Send a tensor to all neighbours at once, and return theirs, in the neighbours' order.

        All receives are posted before the first wait, so ranks cannot deadlock.
        """
        with self.setup.clock.waiting():
            sent = off_device(own)
            received = [torch.empty_like(sent) for _ in self.setup.neighbours]
            pairs = zip(self.setup.neighbours, received, strict=True)
            works = [dist.irecv(buffer, src=rank) for rank, buffer in pairs]
            works += [dist.isend(sent, dst=rank) for rank in self.setup.neighbours]
            for work in works:
                work.wait()
            return [buffer.to(own.device) for buffer in received]
