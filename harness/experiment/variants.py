"""What a run executes: a strategy with options, or a command with parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final, TypeAlias

from harness.experiment.placeholders import fill
from harness.training.strategies.catalogue import strategy_label

SEED_VARIABLE: Final = "HARNESS_SEED"
"""The variable with the seed of the training, for commands."""
SCRIPTS: Final = (".py", ".sh")
"""Endings of an argument that is the script of a command."""
_LAUNCHERS: Final = ("torch.distributed.run", "torch.distributed.launch", "accelerate.commands.launch", "mpi4py")
"""Modules that run a script or module named after them."""


@dataclass(frozen=True)
class StrategyVariant:
    """A strategy with the options that the user gave; the others have the strategy's defaults."""

    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path | None:
        """The user's file with the strategy; None for a strategy of this package."""
        where = self.strategy.partition(":")[0]
        return Path(where) if where.endswith(".py") else None

    @property
    def label(self) -> str:
        """The name in charts and tables, e.g. ``diloco H=20``."""
        return strategy_label(self.strategy, self.options)


@dataclass(frozen=True)
class OwnCommand:
    """A command of the user's own, with placeholders.

    Args:
        argv: the program and its arguments.
        env: environment variables, which are recorded nowhere, since they may be secrets.
        folder: the working directory outside containers: the folder of the experiment's file.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def name(self) -> str:
        """The name of the script, else of the module that Python runs, else of the program."""
        for word, after in zip(self.argv, self.argv[1:], strict=False):
            if after.endswith(SCRIPTS):
                return PurePath(after).stem
            if word == "-m" and after not in _LAUNCHERS:
                return after.rpartition(".")[2]
        return PurePath(self.argv[0]).stem or self.argv[0]

    def filled(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The argv with placeholders filled in; a value stays within one argument, spaces and quotes included."""
        return tuple(fill(word, values) for word in self.argv)

    def environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """The environment variables with placeholders filled in, and HARNESS_SEED."""
        return {SEED_VARIABLE: values["seed"]} | {name: fill(text, values) for name, text in self.env.items()}


@dataclass(frozen=True)
class CommandVariant:
    """A command with the parameters of one point of its grid, as they are written in the file."""

    command: OwnCommand
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name in charts and tables: the parameters, e.g. ``lr=0.1``, else the script."""
        return " ".join(f"{name}={value}" for name, value in self.parameters.items()) or self.command.name


Variant: TypeAlias = StrategyVariant | CommandVariant
