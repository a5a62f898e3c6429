"""What runs on every rank of a run: the trainer with a strategy, or the user's own command. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.experiment.masked import masked
from harness.experiment.spec import Experiment, Run
from harness.experiment.variants import CommandVariant, StrategyVariant
from harness.training.options import TrainOptions
from harness.training.run_description import describe


@dataclass(frozen=True)
class Program:
    """A program.

    Args:
        argv: of it.
        env: beside what every rank gets.
        folder: where it starts; None: where the harness was started, in containers their own.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


def train_options(experiment: Experiment, run: Run, out: str, resume: bool) -> TrainOptions:
    """The options of the training program on each rank of a run with a strategy.

    Args:
        experiment: of the run.
        run: which.
        out: the run's folder, as a rank sees it.
        resume: whether to continue from the newest checkpoint.
    """
    assert isinstance(run.variant, StrategyVariant)
    return TrainOptions(
        task=experiment.task,
        strategy=run.variant.strategy,
        options=run.variant.options,
        schedule=experiment.schedule,
        seed=run.seed,
        resume=resume,
        out=Path(out),
    )


def program_of(experiment: Experiment, run: Run, nodes: int, out: str, python: str, resume: bool) -> Program:
    """What to start on every rank.

    Args:
        experiment: of the run.
        run: which.
        nodes: of its network.
        out: the run's folder, as a rank sees it.
        python: of the nodes, which has this package.
        resume: whether to continue from the newest checkpoint; a command of the user's own begins anew.
    """
    if isinstance(run.variant, CommandVariant):
        command, values = run.variant.command, run.values(nodes, out)
        return Program(command.filled(values), command.environment(values), command.folder)
    options = json.dumps(train_options(experiment, run, out, resume).to_json())
    return Program((python, "-m", "harness.training.train", "--json", options))


def facts_of(experiment: Experiment, run: Run, nodes: int, out: str) -> dict[str, Any]:
    """What run.json says of it; of a command's environment, nothing.

    Args:
        experiment: of the run.
        run: which.
        nodes: of its network.
        out: the run's folder, as a rank sees it.
    """
    if not isinstance(run.variant, CommandVariant):
        return describe(train_options(experiment, run, "", resume=False))
    values = run.values(nodes, out)
    return {
        "seed": run.seed,
        "label": run.label,
        "command": masked(run.variant.command.filled(values)),
        "parameters": dict(run.variant.parameters),
        "measure": experiment.measure.at(values).to_json() if experiment.measure else None,
    }
