"""A strategy of one's own: every rank votes on the direction of each parameter, one byte per vote.

    harness run -n 4 -p mobile -- .venv/bin/python -m harness.training.train --strategy examples/my_strategy.py

Bernstein et al., signSGD with Majority Vote is Communication Efficient and Fault Tolerant, arXiv:1810.05291.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist

from harness.errors import InputError
from harness.training.strategies.base import Strategy, flat, scatter_back
from harness.training.strategies.sent_bytes import all_reduce_sent


@dataclass(frozen=True)
class VoteOptions:
    """What a user may set with --option."""

    period: int = 1
    """Steps between two votes; in between each rank goes its own way."""

    def __post_init__(self) -> None:
        if self.period < 1:
            raise InputError(f"period={self.period}: at least one step")


class MajorityVote(Strategy):
    """Gradients become what most ranks say their sign is; the local optimizer does the rest.

    Sends 2 (n - 1)/n bytes per parameter every ``period`` steps. The votes of at most 127 ranks fit into a byte.
    """

    Options = VoteOptions
    paper = "Bernstein et al., signSGD with Majority Vote, arXiv:1810.05291"

    def share_gradients(self) -> None:
        """Called between the backward pass and the optimizer's step."""
        if (self.steps + 1) % self.options.period:
            return
        gradients = [parameter.grad for parameter in self.model.parameters()]
        votes = flat(gradients).sign().to(torch.int8)
        with self.setup.clock.waiting():
            dist.all_reduce(votes)
        scatter_back(votes.sign(), gradients)

    def bytes_per_step(self) -> float:
        """One byte per parameter, averaged by gloo's ring."""
        numbers = sum(parameter.numel() for parameter in self.parameters)
        return all_reduce_sent(numbers, self.setup.size) / float(self.options.period)
