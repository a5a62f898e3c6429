"""Predicts how long the runs of an experiment will train, from one step that is timed on this machine."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Iterable

from harness.errors import HarnessError
from harness.experiment.spec import Experiment, Run
from harness.experiment.variants import StrategyVariant
from harness.model.plan import NetworkPlan
from harness.predict.exchanges import exchanges
from harness.predict.prediction import predict
from harness.training.local_step import LocalStep, time_step


def local_step(experiment: Experiment) -> LocalStep | None:
    """Time one step of the task here; None where the experiment runs a command, or this Python cannot train."""
    if experiment.command or importlib.util.find_spec("torch") is None:
        return None
    try:
        return time_step(experiment.task)
    except HarnessError:
        return None


def training_seconds(
    experiment: Experiment, runs: Iterable[Run], plan_of: Callable[[Run], NetworkPlan], step: LocalStep
) -> dict[str, float]:
    """Seconds of training by a run's slug, without runs whose strategy cannot be predicted.

    Ranks share this machine's cores. Not counted: starting PyTorch, evaluating, and what a scenario changes.
    """
    found = {}
    for run in runs:
        if not isinstance(run.variant, StrategyVariant):
            continue
        plan = plan_of(run)
        compute = step.seconds * max(1.0, plan.size / (os.cpu_count() or 1))
        try:
            sends = exchanges(run.variant.strategy, run.variant.options, step.parameters, plan.size)
        except HarnessError:
            continue
        seconds = predict(plan, sends, compute).step * experiment.schedule.steps
        found[run.slug] = min(seconds, experiment.limit_seconds or math.inf)
    return found
