"""What runs differ in beside their network: a strategy with options, or a command with parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final, TypeAlias

from harness.experiment.placeholders import fill
from harness.training.strategies.catalogue import strategy_label

SEED_VARIABLE: Final = "HARNESS_SEED"
"""The seed of the training, for commands."""
SCRIPTS: Final = (".py", ".sh")
"""Endings by which an argument is known as the script of a command."""
_LAUNCHERS: Final = ("torch.distributed.run", "torch.distributed.launch", "accelerate.commands.launch", "mpi4py")
"""Modules that run the script, or module, that comes later."""


@dataclass(frozen=True)
class StrategyVariant:
    """A strategy with the options that the user chose for it.

    Args:
        strategy: its name.
        options: by name; the others are the strategy's defaults.
    """

    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path | None:
        """Where it is, if it is one of the user's own in a file."""
        where = self.strategy.partition(":")[0]
        return Path(where) if where.endswith(".py") else None

    @property
    def label(self) -> str:
        """What charts and tables call it, e.g. ``diloco H=20``."""
        return strategy_label(self.strategy, self.options)


@dataclass(frozen=True)
class OwnCommand:
    """A command of the user's own, with placeholders.

    Args:
        argv: the program and its arguments.
        env: variables of its environment, which are written nowhere: they may be secrets.
        folder: where it starts, unless in a container; that of the experiment's file.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def name(self) -> str:
        """The script's name, or that of the module that Python runs, or else the program's."""
        for word, after in zip(self.argv, self.argv[1:], strict=False):
            if after.endswith(SCRIPTS):
                return PurePath(after).stem
            if word == "-m" and after not in _LAUNCHERS:
                return after.rpartition(".")[2]
        return PurePath(self.argv[0]).stem or self.argv[0]

    def filled(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The argv with the values of its placeholders: a value is a part of one argument, whatever stands in it."""
        return tuple(fill(word, values) for word in self.argv)

    def environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """The variables of the file, filled, and HARNESS_SEED."""
        return {SEED_VARIABLE: values["seed"]} | {name: fill(text, values) for name, text in self.env.items()}


@dataclass(frozen=True)
class CommandVariant:
    """A command with the parameters of one point of its grid.

    Args:
        command: with placeholders.
        parameters: the values, as they are written.
    """

    command: OwnCommand
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What charts and tables call it: its parameters, e.g. ``lr=0.1``, or else its script."""
        return " ".join(f"{name}={value}" for name, value in self.parameters.items()) or self.command.name


Variant: TypeAlias = StrategyVariant | CommandVariant
