"""Times one step of a task on this machine, to estimate the time of runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Final

from harness.training.tasks.task_options import TaskOptions

_STEPS: Final = 5


@dataclass(frozen=True)
class LocalStep:
    """One step of one rank.

    Args:
        parameters: number of the model's parameters.
        seconds: the median time of computing, on one core.
    """

    parameters: int
    seconds: float


def time_step(options: TaskOptions) -> LocalStep:
    """Time some steps of one rank that has all the data, on the CPU.

    Raises:
        UnavailableError: PyTorch or the data are missing.
        InputError: the options do not fit together.
    """
    import torch

    from harness.training.no_compiler import leave_out_compiler
    from harness.training.tasks.catalogue import make_task

    leave_out_compiler()
    torch.set_num_threads(1)
    task = make_task(options, 0, 1, 0)
    model = task.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    times = []
    for step in range(1, _STEPS + 1):
        began = time.perf_counter()
        optimizer.zero_grad()
        task.loss(model, task.batch(step)).backward()
        optimizer.step()
        times.append(time.perf_counter() - began)
    return LocalStep(sum(parameter.numel() for parameter in model.parameters()), median(times))
