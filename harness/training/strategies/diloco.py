"""DiLoCo: many local steps, then one outer step with the mean of the ranks' changes as its gradient.

Douillard et al., DiLoCo: Distributed Low-Communication Training of Language Models, arXiv:2311.08105, algorithm 1:
every H inner steps (AdamW in the paper, here the workload's optimizer, whose state stays on its rank) the outer
gradient is the mean over ranks of (parameters at the last outer step - parameters now), and SGD with Nesterov momentum
applies it to the parameters of the last outer step; 0.7 and 0.9 are the paper's choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from torch import nn
from torch.optim import SGD

from harness.training.strategies.base import Strategy, StrategyContext, flat, scatter_back
from harness.training.strategies.sent_bytes import all_reduce_sent
from harness.training.strategies.strategy_options import DiLoCoOptions


class DiLoCo(Strategy):
    """All ranks have the same parameters after every H-th step.

    Sends 2 (n - 1)/n of the parameters' bytes every H steps.
    """

    Options = DiLoCoOptions
    paper = "Douillard et al., DiLoCo, arXiv:2311.08105"

    def __init__(self, setup: StrategyContext, options: DiLoCoOptions) -> None:
        super().__init__(setup, options)
        self._anchor = nn.Parameter(flat(self.parameters))
        momentum = options.outer_momentum
        self._outer = SGD([self._anchor], lr=options.outer_lr, momentum=momentum, nesterov=momentum > 0)

    def share_parameters(self) -> None:
        """Do the outer step after every H-th inner step."""
        if self.steps % self.options.H:
            return
        mean = (self._anchor.data - flat(self.parameters)) / self.setup.size
        with self.setup.clock.waiting():
            dist.all_reduce(mean)
        self._anchor.grad = mean
        self._outer.step()
        scatter_back(self._anchor.data, self.parameters)

    def bytes_per_step(self) -> float:
        """One all_reduce of as many numbers as the model has, in H steps."""
        return all_reduce_sent(self.size_bytes, self.setup.size) / float(self.options.H)

    def state(self) -> dict[str, Any]:
        return super().state() | {"anchor": self._anchor.data, "outer": self._outer.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state)
        self._anchor.data.copy_(state["anchor"])
        self._outer.load_state_dict(state["outer"])
