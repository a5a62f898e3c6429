"""No communication: every rank learns from its own data. The baseline for the other strategies."""

from __future__ import annotations

from harness.training.strategies.base import Strategy


class Local(Strategy):
    """Local steps only. Sends nothing."""

    paper = "none: the baseline"

    def bytes_per_step(self) -> float:
        """Nothing."""
        return 0.0
