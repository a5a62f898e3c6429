"""Finds strategies by name: those in TABLE, and those of users.

A user's strategy is ``./mine.py:Mine`` or ``my.package:Mine``; ``:Mine`` is optional if the file has only one.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from harness.errors import InputError, UnavailableError, quoted
from harness.installed import INSTALL_TRAINING
from harness.model.suggest import suggest

if TYPE_CHECKING:
    from harness.training.strategies.base import Strategy

TABLE: Final = {
    "local": "harness.training.strategies.local",
    "ddp": "harness.training.strategies.ddp",
    "fedavg": "harness.training.strategies.fedavg",
    "diloco": "harness.training.strategies.diloco",
    "streaming-diloco": "harness.training.strategies.streaming_diloco",
    "sparta": "harness.training.strategies.sparta",
    "demo": "harness.training.strategies.demo",
    "gossip": "harness.training.strategies.gossip",
}
"""Name -> module."""


def check_name(name: str) -> None:
    """Raise InputError if there is no such strategy, without importing it."""
    if not _is_own(name):
        if name not in TABLE:
            raise InputError(
                f"strategy {quoted(name)} is unknown; {suggest(name, list(TABLE))} (one of your own: ./mine.py:Mine)"
            )
        return
    where = name.partition(":")[0]
    if where.endswith(".py"):
        if not Path(where).is_file():
            raise InputError(f"strategy {quoted(name)}: there is no file {where}")
    elif not all(part.isidentifier() for part in where.split(".")):
        raise InputError(f"strategy {quoted(name)}: write ./mine.py:Mine or my.package:Mine")


def strategy_label(name: str, options: Mapping[str, Any]) -> str:
    """The name of a strategy for charts and tables, with the options that the user chose, e.g. ``diloco H=20``."""
    short = name.rpartition("/")[2].removesuffix(".py").replace(".py:", ":")
    return " ".join([short, *(f"{key}={value}" for key, value in options.items())])


def find_strategy(name: str) -> type[Strategy]:
    """The class of a strategy.

    Raises:
        InputError: there is no such strategy, or a user's cannot be imported or is incomplete.
        UnavailableError: there is no PyTorch.
    """
    check_name(name)
    where, _, wanted = name.partition(":")
    try:
        from harness.training.strategies.base import Strategy

        module = _load(where) if _is_own(name) else importlib.import_module(TABLE[name])
    except ModuleNotFoundError as error:
        if error.name == "torch" or not _is_own(name):
            raise UnavailableError(f"{error.name} is missing in this Python: {INSTALL_TRAINING}") from None
        raise InputError(f"strategy {quoted(name)}: importing it: {error}") from None
    except Exception as error:
        if not _is_own(name):
            raise
        raise InputError(f"strategy {quoted(name)}: importing it: {type(error).__name__}: {error}") from error
    classes = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy) and value is not Strategy
    }
    own = [value for value in classes.values() if value.__module__ == module.__name__]
    chosen = classes.get(wanted) if wanted else own[0] if len(own) == 1 else None
    if chosen is None:
        have = ", ".join(classes) or "none"
        raise InputError(f"strategy {quoted(name)}: name one class of {where} after a colon; it has {have}")
    if lacking := ", ".join(sorted(chosen.__abstractmethods__)):
        raise InputError(f"strategy {quoted(name)}: {chosen.__name__} lacks {lacking}")
    if not is_dataclass(chosen.Options):
        raise InputError(f"strategy {quoted(name)}: Options of {chosen.__name__} is not a dataclass")
    return chosen


def _is_own(name: str) -> bool:
    return ":" in name or "/" in name or "." in name


def _load(where: str) -> ModuleType:
    path = Path(where)
    if path.suffix != ".py":
        return importlib.import_module(where)
    spec: Any = importlib.util.spec_from_file_location(f"harness_user_{path.stem}", path)
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module
