"""Runs ExoGym's scripts over shaped links: one import changes, and every node trains one rank.

    from harness.exogym import Trainer    # was: from exogym import Trainer, or from exogym.trainer import Trainer

Strategies, optimizers and the training loop are ExoGym's. See docs/exogym.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.training.exogym.trainer import Trainer

__all__ = ["Trainer"]


def __getattr__(name: str) -> Any:
    """The Trainer, imported on demand. Raises UnavailableError if there is no ExoGym."""
    if name != "Trainer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from harness.training.exogym.installed import check_installed
    from harness.training.exogym.trainer import Trainer

    check_installed()
    return Trainer
