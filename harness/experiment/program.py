"""The program that every rank runs: the trainer with a strategy, or the user's own command. Pure."""

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
        argv: the program and its arguments.
        env: variables beside those that every rank gets.
        folder: its working directory; None: that of the harness, or of the container.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


def train_options(experiment: Experiment, run: Run, out: str, resume: bool) -> TrainOptions:
    """The options of the trainer; ``out``: the run's folder as a rank sees it, ``resume``: from the last checkpoint."""
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
    """The program of every rank.

    Args:
        experiment: with the run.
        run: the run.
        nodes: number of nodes of its network.
        out: the run's folder, as a rank sees it.
        python: the nodes' interpreter, which has this package.
        resume: whether to continue from the newest checkpoint; the user's own commands start again.
    """
    if isinstance(run.variant, CommandVariant):
        command, values = run.variant.command, run.values(nodes, out)
        return Program(command.filled(values), command.environment(values), command.folder)
    options = json.dumps(train_options(experiment, run, out, resume).to_json())
    return Program((python, "-m", "harness.training.train", "--json", options))


def facts_of(experiment: Experiment, run: Run, nodes: int, out: str) -> dict[str, Any]:
    """What run.json says of the program, without the environment of a command, which may have secrets."""
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
