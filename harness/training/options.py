"""The options of the trainer, each declared once, here or in tasks/task_options.py.

A field of ``TrainOptions``, ``Schedule`` or ``TaskOptions`` is an option of the command line, a key of the JSON that an
experiment hands to each rank and, for the last two, a key of an experiment's file. ``declared.py`` derives these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from harness.errors import InputError
from harness.training import command
from harness.training.declared import declared, from_json, to_json
from harness.training.device import TRANSPORT_HELP, Transport
from harness.training.tasks.task_options import TaskOptions


@dataclass(frozen=True)
class Schedule:
    """How long to train, and when to evaluate and save; the same for all runs of an experiment.

    The model is always evaluated before the first and after the last step.
    """

    steps: int = declared(200, "number of steps to train")
    evaluate_every: int = declared(10, "steps between two evaluations")
    checkpoint_every: int = declared(50, "steps between two checkpoints; 0: none", least=0)
    elastic: int = declared(
        0,
        "continue without ranks that are away, and let them join again: seconds after which a collective with a rank"
        " that does not answer fails; 0: the first rank that fails ends the run",
        least=0,
    )


@dataclass(frozen=True)
class TrainOptions:
    """All options of ``python -m harness.training.train``.

    Args:
        options: of the strategy; those that are missing have the strategy's defaults.
        describe: whether rank 0 writes run.json and end.json. An experiment writes them itself.
    """

    task: TaskOptions = field(default_factory=TaskOptions)
    strategy: str = declared("ddp", "strategy: a name, or ./mine.py:Mine")
    options: Mapping[str, Any] = declared({}, "an option of the strategy, NAME=VALUE; may be repeated", flag="option")
    schedule: Schedule = field(default_factory=Schedule)
    seed: int = declared(0, "seed of the model, the data and the strategy", least=0)
    transport: Transport = declared("gloo", TRANSPORT_HELP)  # noqa: RUF009
    timeout: float = declared(1800.0, command.TIMEOUT_HELP, read=command.seconds)
    resume: bool = declared(False, "continue from the newest checkpoint in FOLDER/checkpoints")
    out: Path | None = declared(None, "folder for records and checkpoints; default: $HARNESS_RUN_DIR")  # noqa: RUF009
    describe: bool = declared(False, "", flag=None)

    def __post_init__(self) -> None:
        if self.seed >= 2**63:
            raise InputError(f"seed {self.seed} is over 2^63 - 1, the largest that torch takes")
        if self.schedule.elastic and self.transport != "gloo":
            raise InputError(f"--elastic needs --transport gloo: ranks cannot leave a group of {self.transport}")
        if self.resume and not self.out:
            raise InputError("--resume: there is no folder to continue from; name it with --out")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; from_json reads it back."""
        return to_json(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json. Raises InputError for an unknown key or an invalid value."""
        return from_json(cls, data)
