"""Reads an experiment from a YAML file. Errors give file and line, and come before anything is started.

Paths in the file (./mine.py, ./home.yaml, a task's data) are relative to its own folder.

name: strategies
nodes: 4
topologies: ring                     one, or a list; default: fully_connected, as for every verb
profiles: [local, wan, mobile]
strategies:                          names, or mappings with options; an option that is a list multiplies
  - ddp
  - {name: diloco, H: [10, 50]}
H: 10                                for all strategies that have this option and do not say otherwise
seeds: [0, 1, 2]
network_seed: 0                      one network for all seeds; default: each seed draws its own
task: {name: digits, shards: "dirichlet:0.3", batch: 32, lr: 0.002}     or its name alone: digits
steps: 200
evaluate_every: 10
checkpoint_every: 50
target: {loss: 0.4}                  or accuracy: 0.9
stop_at_target: true
limit: 2min                          of training, per run
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final, cast, get_type_hints

from harness.errors import InputError, UnitError, quoted
from harness.experiment.spec import MAX_RUNS, Experiment, Variant, check_name, plain
from harness.model.matrix_topology import rooted_matrix
from harness.model.plan_options import DEFAULTS
from harness.model.profile_file import is_profile_path, load_profile
from harness.model.topology_names import build_topology
from harness.model.units import parse_duration
from harness.model.yaml_file import Entry, read_yaml
from harness.training.declared import help_of, least_of
from harness.training.options import Schedule
from harness.training.strategies.catalogue import check_name as check_strategy
from harness.training.strategies.catalogue import find_strategy
from harness.training.strategies.option_values import read_options
from harness.training.tasks.task_options import TaskOptions

KEYS: Final = {
    "name": "Of the experiment's folder; the file's name unless given.",
    "nodes": "How many nodes every run has; 4, or what a topology's file says, unless given.",
    "topologies": f"A name, a file, or a list of them; {DEFAULTS.topology} unless given.",
    "profiles": "A name, a file, or a list of them. Required.",
    "strategies": "A name, a mapping of `name` and options, or a list of these; an option that is a list makes a run "
    "for each value. Required.",
    "H": "For all strategies that have this option and do not say otherwise: a number, or a list.",
    "seeds": "A number, or a list: of the model, the data and the strategy; 0 unless given.",
    "network_seed": "Of the network's draws: one network for all seeds; each seed draws its own unless given.",
    "task": "A name, or a mapping with the keys below; digits unless given.",
    **{one.name: f"{help_of(one).capitalize()}; {one.default} unless given." for one in fields(Schedule)},
    "target": "`{loss: 0.4}` or `{accuracy: 0.9}`, on the held-out set: the report says when it was reached.",
    "stop_at_target": "Whether a run ends there: true or false; false unless given.",
    "limit": "The longest that a run may train: 90s, 2min or 1.5h; no limit unless given.",
}
"""The keys of the file, with what they mean (docs/reference/)."""


def load_experiment(path: Path, *, check_options: bool = True) -> Experiment:
    """Read and check a file; profiles, topologies and strategies that it names must be there.

    Args:
        path: of the file.
        check_options: whether strategies are imported to check their options: that needs PyTorch.

    Raises:
        InputError: with file and line.
        UnavailableError: there is no PyTorch to check options with.
    """
    values = read_yaml(path, InputError).mapping(KEYS)
    root = path.parent
    given: dict[str, Any] = {"name": _name(values["name"]) if "name" in values else plain(path.stem)}
    if missing := [key for key in ("profiles", "strategies") if key not in values]:
        raise InputError(f"{path}: {' and '.join(missing)} missing; an experiment needs both")
    if "nodes" in values:
        given["nodes"] = _count(values["nodes"], 2)
    given["profiles"] = _checked(values["profiles"], root, load_profile)
    if topologies := values.get("topologies"):
        given["topologies"] = _checked(topologies, root, lambda name: build_topology(name, given.get("nodes")))
    else:
        _located(values.get("nodes", values["profiles"]), lambda: build_topology(DEFAULTS.topology, given.get("nodes")))
        given["topologies"] = (DEFAULTS.topology,)
    if "seeds" in values:
        given["seeds"] = tuple(_several(values["seeds"], _seed))
    if "network_seed" in values:
        given["network_seed"] = _seed(values["network_seed"])
    given["variants"] = tuple(_strategies(values["strategies"], values.get("H"), root, check_options))
    if "task" in values:
        given["task"] = _task(values["task"], root)
    schedule = {one: _count(values[one.name], least_of(one)) for one in fields(Schedule) if one.name in values}
    given["schedule"] = Schedule(**{one.name: value for one, value in schedule.items()})
    if "target" in values:
        given["target"] = _target(values["target"])
    if "stop_at_target" in values:
        given["stop_at_target"] = _truth(values["stop_at_target"])
    if "limit" in values:
        given["limit_seconds"] = _limit(values["limit"])
    try:
        return Experiment(**given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _located(entry: Entry, read: Callable[[], Any]) -> Any:
    """The result of `read`; an InputError gets the entry's file and line."""
    try:
        return read()
    except InputError as error:
        raise entry.fault(error) from None


def _several(entry: Entry, read: Callable[[Entry], Any]) -> list[Any]:
    parts = entry.items() if entry.is_list else [entry]
    if not parts:
        raise entry.fault("an empty list: there is nothing to run")
    if len(parts) > MAX_RUNS:
        raise entry.fault(f"a list of {len(parts)}: an experiment has at most {MAX_RUNS} runs")
    return [read(one) for one in parts]


def _name(entry: Entry) -> str:
    name = entry.text("a name")
    _located(entry, lambda: check_name(name))
    return name


def _seed(entry: Entry) -> int:
    return entry.whole_number("a seed, e.g. 0,")


def _count(entry: Entry, least: int = 1) -> int:
    number = entry.whole_number(f"a whole number from {least}")
    if number < least:
        raise entry.fault(f"{number} where a whole number from {least} is expected")
    return number


def _limit(entry: Entry) -> float:
    text = entry.text("a time, e.g. 90s or 2min,")
    try:
        return parse_duration(text)
    except UnitError:
        raise entry.fault(f"{quoted(text)} where a time is expected, e.g. 90s, 2min or 1.5h") from None


def _checked(entry: Entry, root: Path, check: Callable[[str], object]) -> tuple[str, ...]:
    """Names of profiles or topologies; the path of a file becomes absolute."""

    def one(part: Entry) -> str:
        name = part.text("a name")
        head, colon, _ = name.partition(":")
        if colon and head.strip().lower() == "matrix":
            name = rooted_matrix(name, root)
        elif is_profile_path(name):
            name = str((root / name).resolve())
        _located(part, lambda: check(name))
        return name

    return tuple(_several(entry, one))


def _scalar(entry: Entry) -> str:
    """As it is written, a truth value too."""
    kind = getattr(entry.node, "tag", "").removeprefix("tag:yaml.org,2002:")
    return str(entry.node.value) if kind == "bool" else entry.text("a value")


def _truth(entry: Entry) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if (word := _scalar(entry).lower()) not in words:
        raise entry.fault(f"{quoted(word)} where true or false is expected")
    return words[word]


def _options(entry: Entry, name: str) -> list[tuple[str, str]]:
    return [(name, value) for value in _several(entry, _scalar)]


def _strategies(entry: Entry, shared: Entry | None, root: Path, check_options: bool) -> list[Variant]:
    if shared and not check_options:
        raise shared.fault("without PyTorch, which strategies have this option is unknown; write H at each strategy")
    options = _options(shared, "H") if shared else []
    found = _several(entry, lambda one: _variants(one, options, root, check_options))
    variants = [variant for of_one in found for variant in of_one]
    if shared and not any("H" in variant.options for variant in variants):
        raise shared.fault("none of the strategies has this option")
    return variants


def _variants(entry: Entry, shared: list[tuple[str, str]], root: Path, check_options: bool) -> list[Variant]:
    """A strategy, once for each combination of options that are lists."""
    if getattr(entry.node, "id", "") == "mapping":
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
    _located(named, lambda: check_strategy(name))
    kind = _located(named, lambda: find_strategy(name).Options) if check_options else None
    known = {field.name for field in fields(kind)} if kind else set()
    choices = [_options(value, key) for key, value in values.items()]
    if shared and "H" in known and "H" not in values:
        choices.append(shared)
    if (count := math.prod(map(len, choices))) > MAX_RUNS:
        raise entry.fault(f"{count} combinations of options: an experiment has at most {MAX_RUNS} runs")
    found = []
    for combination in product(*choices):
        options: dict[str, Any] = dict(combination)
        if kind:
            options = _located(entry, partial(_read_options, name, kind, options))
        found.append(Variant(name, options))
    return found


def _read_options(name: str, kind: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    made = read_options(name, kind, given)
    return {key: getattr(made, key) for key in given}


def _task(entry: Entry, root: Path) -> TaskOptions:
    if getattr(entry.node, "id", "") != "mapping":
        name = entry.text("a task's name")
        return cast(TaskOptions, _located(entry, lambda: TaskOptions(name)))
    types = get_type_hints(TaskOptions)
    given: dict[str, Any] = {}
    for key, value in entry.mapping([one.name for one in fields(TaskOptions)]).items():
        text = value.text("a value")
        if key == "data":
            given[key] = str((root / text).resolve())
            if not Path(given[key]).exists():
                raise value.fault(f"there is no {given[key]}")
        elif types[key] in (int, int | None):
            given[key] = _count(value)
        elif types[key] is float:
            given[key] = _located(value, partial(_number, text))
        else:
            given[key] = text
    return cast(TaskOptions, _located(entry, lambda: TaskOptions(**given)))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{quoted(text)} where a number is expected") from None


def _target(entry: Entry) -> tuple[str, float]:
    values: Mapping[str, Entry] = entry.mapping(["loss", "accuracy"])
    if len(values) != 1:
        raise entry.fault("a target is one of loss and accuracy, e.g. {loss: 0.4}")
    ((name, value),) = values.items()
    number = _located(value, lambda: _number(value.text("a number")))
    if not 0 < number < math.inf or (name == "accuracy" and number > 1):
        raise value.fault(
            f"{number:g} where {'a share up to 1' if name == 'accuracy' else 'a loss over 0'} is expected"
        )
    return name, number
