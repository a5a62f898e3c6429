"""Which task is learned and how, as a user writes it. Pure; the defaults of every task option stand here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

from harness.errors import InputError
from harness.model.suggest import suggest

TASKS: Final = ("digits", "mnist", "text")
Optimizer = Literal["adamw", "sgd"]
WIDTH_STEP: Final = 32
"""A text model has a head for each so many numbers of its width."""


@dataclass(frozen=True)
class TaskOptions:
    """What is learned, and how.

    Args:
        name: one of TASKS.
        shards: who has which examples: ``iid`` or ``dirichlet:ALPHA``.
        batch: examples per rank and step.
        optimizer: of local steps.
        lr: its learning rate.
        width: of the model; None: as suits the task.
        layers: of the text model.
        context: characters in a window of text.
        data: a folder with MNIST, or a text file; None: see the task.
    """

    name: str = "digits"
    shards: str = "iid"
    batch: int = 32
    optimizer: Optimizer = "adamw"
    lr: float = 1e-3
    width: int | None = None
    layers: int = 3
    context: int = 128
    data: str | None = None

    def __post_init__(self) -> None:
        if self.name not in TASKS:
            raise InputError(f"task {self.name!r} is unknown; {suggest(self.name, TASKS)}")
        from harness.training.tasks.sharding import Sharding

        Sharding.parse(self.shards)
        for name in ("batch", "lr", "width", "layers", "context"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"task {self.name}: {name} must be a number over 0, not {value}")
        if self.optimizer not in get_args(Optimizer):
            raise InputError(f"optimizer {self.optimizer!r} is unknown; {suggest(self.optimizer, get_args(Optimizer))}")
        unused = {"digits": ("data", "layers", "context"), "mnist": ("layers", "context"), "text": ()}[self.name]
        for name in unused:
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise InputError(f"task {self.name} has no use for {name}: leave it out, or take another task")
        if self.name == "text" and (self.width or 0) % WIDTH_STEP:
            raise InputError(f"task text: width {self.width} is no multiple of {WIDTH_STEP}")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of vars()."""
        return cls(**data)
