"""Learning tasks by name, with the options that a user may set. Pure but for ``make_task``, which reads the data."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args

from harness.errors import InputError
from harness.suggest import suggest

if TYPE_CHECKING:
    from harness.tasks.base import LearningTask

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
        from harness.tasks.sharding import Sharding

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


def make_task(options: TaskOptions, rank: int, ranks: int, seed: int) -> LearningTask:
    """Read the data and divide it. Raises UnavailableError, InputError.

    Args:
        options: what is learned.
        rank: of this process.
        ranks: how many.
        seed: of the run.
    """
    from harness.tasks import images, text
    from harness.tasks.sharding import Sharding

    sharding = Sharding.parse(options.shards)
    if options.name == "text":
        source = text.read_text(options.data)
        width = options.width or 192
        return text.TextTask(source, rank, ranks, seed, options.batch, sharding, width, options.layers, options.context)
    data = images.load_digits() if options.name == "digits" else images.load_mnist(options.data or _mnist_folder())
    return images.ImageTask(data, rank, ranks, seed, options.batch, sharding, options.width or 16)


def _mnist_folder() -> str:
    return os.path.join(os.environ.get("TORCH_HOME", os.path.expanduser("~/.cache/torch")), "datasets")
