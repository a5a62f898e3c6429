"""Makes a learning task from its options."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.training.tasks.task_options import TaskOptions

if TYPE_CHECKING:
    from harness.training.tasks.base import LearningTask


def make_task(options: TaskOptions, rank: int, ranks: int, seed: int) -> LearningTask:
    """Read the data and divide it. Raises UnavailableError, InputError.

    Args:
        options: of the task.
        rank: of this process.
        ranks: number of ranks.
        seed: of the run.
    """
    from harness.training.tasks import images, text
    from harness.training.tasks.sharding import Sharding

    sharding = Sharding.parse(options.shards)
    if options.name == "text":
        source = text.read_text(options.data)
        width = options.width or 192
        return text.TextTask(source, rank, ranks, seed, options.batch, sharding, width, options.layers, options.context)
    data = images.load_digits() if options.name == "digits" else images.load_mnist(options.data or _mnist_folder())
    return images.ImageTask(data, rank, ranks, seed, options.batch, sharding, options.width or 16)


def _mnist_folder() -> str:
    return os.path.join(os.environ.get("TORCH_HOME", os.path.expanduser("~/.cache/torch")), "datasets")
