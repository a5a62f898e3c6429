"""Reads the strategies of an experiment's file, and their options."""

from __future__ import annotations

import math
from dataclasses import fields
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from harness.experiment.spec import MAX_RUNS
from harness.experiment.spec_values import located, scalar, several
from harness.experiment.variants import StrategyVariant
from harness.model.yaml_file import Entry
from harness.training.strategies.catalogue import check_name, find_strategy
from harness.training.strategies.option_values import read_options


def _options(entry: Entry, name: str) -> list[tuple[str, str]]:
    return [(name, value) for value in several(entry, scalar)]


def read_strategies(entry: Entry, shared: Entry | None, root: Path, check_options: bool) -> list[StrategyVariant]:
    """The strategies of a file, each once for every combination of its options.

    Args:
        entry: the key ``strategies``.
        shared: the key ``H``, for all strategies that have this option; None: not given.
        root: the folder to which paths are relative.
        check_options: whether strategies are imported to check their options.

    Raises:
        InputError: with file and line.
        UnavailableError: there is no PyTorch to check options with.
    """
    if shared and not check_options:
        raise shared.fault("without PyTorch, which strategies have this option is unknown; write H at each strategy")
    options = _options(shared, "H") if shared else []
    found = several(entry, lambda one: _variants(one, options, root, check_options))
    variants = [variant for of_one in found for variant in of_one]
    if shared and not any("H" in variant.options for variant in variants):
        raise shared.fault("none of the strategies has this option")
    return variants


def _variants(entry: Entry, shared: list[tuple[str, str]], root: Path, check_options: bool) -> list[StrategyVariant]:
    """A strategy, once for each combination of options that are lists."""
    if entry.is_mapping:
        keys = [str(key.value) for key, _ in entry.node.value]  # read_options checks them
        values = entry.mapping(keys)
        if "name" not in values:
            raise entry.fault("a strategy needs a name")
        named = values.pop("name")
    else:
        values, named = {}, entry
    name = named.text("a strategy's name")
    if name.partition(":")[0].endswith(".py"):
        name = str((root / name).resolve())
    located(named, lambda: check_name(name))
    kind = located(named, lambda: find_strategy(name).Options) if check_options else None
    known = {field.name for field in fields(kind)} if kind else set()
    choices = [_options(value, key) for key, value in values.items()]
    if shared and "H" in known and "H" not in values:
        choices.append(shared)
    if (combinations := math.prod(map(len, choices))) > MAX_RUNS:
        raise entry.fault(f"{combinations} combinations of options: an experiment has at most {MAX_RUNS} runs")
    found = []
    for combination in product(*choices):
        options: dict[str, Any] = dict(combination)
        if kind:
            made = located(entry, partial(read_options, name, kind, options))
            options = {key: getattr(made, key) for key in options}
        found.append(StrategyVariant(name, options))
    return found
