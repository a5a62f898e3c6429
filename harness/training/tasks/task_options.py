"""The options of a task. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

from harness.errors import InputError, quoted
from harness.model.suggest import suggest
from harness.training.declared import declared
from harness.training.device import DEVICE_HELP, Device

TASKS: Final = ("digits", "mnist", "text")
Optimizer = Literal["adamw", "sgd"]
WIDTH_STEP: Final = 32
"""Width of one attention head of the text model."""


@dataclass(frozen=True)
class TaskOptions:
    """The task, and how it is learned."""

    name: str = declared("digits", "the task", flag="task", choices=TASKS)
    shards: str = declared("iid", "how examples are divided among ranks: iid, or dirichlet:ALPHA")
    batch: int = declared(32, "examples per rank and step")
    optimizer: Optimizer = declared("adamw", "optimizer of the local steps")  # noqa: RUF009
    lr: float = declared(1e-3, "learning rate of that optimizer")
    width: int | None = declared(None, "width of the model's hidden layers; default: 16, for text 192")
    layers: int = declared(3, "layers of the text model")
    context: int = declared(128, "characters in a window of text")
    data: str | None = declared(None, "a folder with MNIST, or a text file")
    device: Device = declared("cpu", DEVICE_HELP)  # noqa: RUF009

    def __post_init__(self) -> None:
        if self.name not in TASKS:
            raise InputError(f"task {quoted(self.name)} is unknown; {suggest(self.name, TASKS)}")
        from harness.training.tasks.sharding import Sharding

        Sharding.parse(self.shards)
        for name in ("batch", "lr", "width", "layers", "context"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"task {self.name}: {name} must be a number over 0, not {value}")
        if self.optimizer not in get_args(Optimizer):
            raise InputError(
                f"optimizer {quoted(self.optimizer)} is unknown; {suggest(self.optimizer, get_args(Optimizer))}"
            )
        if self.device not in get_args(Device):
            raise InputError(f"device {quoted(self.device)} is unknown; {suggest(self.device, get_args(Device))}")
        unused = {"digits": ("data", "layers", "context"), "mnist": ("layers", "context"), "text": ()}[self.name]
        for name in unused:
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise InputError(f"task {self.name} has no use for {name}: leave it out, or take another task")
        if self.name == "text" and (self.width or 0) % WIDTH_STEP:
            raise InputError(f"task text: width {self.width} is not a multiple of {WIDTH_STEP}")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of vars()."""
        return cls(**data)
