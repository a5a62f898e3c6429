"""Federated averaging: H local steps, then the average of all parameters.

McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017,
arXiv:1602.05629. The averaging is torch's PeriodicModelAverager.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager

from harness.training.strategies.base import Strategy, StrategyContext
from harness.training.strategies.sent_bytes import all_reduce_sent
from harness.training.strategies.strategy_options import FedAvgOptions


class FedAvg(Strategy):
    """Local steps; each rank has its own optimizer, whose state is not shared. All take part in every round.

    Sends 2 (n - 1)/n of the parameters' bytes every H steps.
    """

    Options = FedAvgOptions
    paper = "McMahan et al., AISTATS 2017, arXiv:1602.05629"

    def __init__(self, setup: StrategyContext, options: FedAvgOptions) -> None:
        super().__init__(setup, options)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # that H=1 is better done by ddp
            self._averager = PeriodicModelAverager(period=options.H, warmup_steps=options.H - 1)

    def share_parameters(self) -> None:
        """Average all parameters after every H-th step."""
        with self.setup.clock.waiting():
            self._averager.average_parameters(self.model.parameters())

    def bytes_per_step(self) -> float:
        """One all_reduce of all parameters in H steps."""
        return all_reduce_sent(self.size_bytes, self.setup.size) / float(self.options.H)

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state)
        self._averager.step = self.steps
