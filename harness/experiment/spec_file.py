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
scenario: [none, flaky.yaml]         played meanwhile (docs/scenarios.md); a list makes a run for each
uplink: 20mbit                       and downlink, trunk, mtu and so on: as the options of harness up
task: {name: digits, shards: "dirichlet:0.3", batch: 32, lr: 0.002}     or its name alone: digits
steps: 200
evaluate_every: 10
checkpoint_every: 50
target: {loss: 0.4}                  or accuracy: 0.9
stop_at_target: true
limit: 2min                          of training, per run

Instead of strategies, task, H and steps, a command of your own:

command: [python, train.py, --lr, "{lr}"]     runs on every node, in the file's folder, as under harness run; no shell
grid: {lr: [0.1, 0.01], batch: 16}            each value stands for {lr} in command and env; lists multiply
env: {BATCH: "{batch}"}                       may hold secrets: recorded nowhere but in the copy of this file
measure: {regex: 'loss=([0-9.]+)'}            or wall_time, {log: loss}, {jsonl: "{run_dir}/m.jsonl", key: loss}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Final, cast, get_type_hints

from harness.errors import InputError, UnitError, quoted
from harness.experiment.placeholders import ALWAYS
from harness.experiment.spec import Experiment, check_name, plain
from harness.experiment.spec_command import read_commands, read_measure
from harness.experiment.spec_network import NETWORK_KEYS, SCENARIO, read_network, read_scenarios
from harness.experiment.spec_strategies import read_strategies
from harness.experiment.spec_values import count, located, number, seed, several, truth
from harness.model.matrix_topology import rooted_matrix
from harness.model.plan_options import DEFAULTS
from harness.model.profile_file import is_profile_path, load_profile
from harness.model.topology_names import build_topology
from harness.model.units import parse_duration
from harness.model.yaml_file import Entry, read_yaml
from harness.training.declared import help_of, least_of
from harness.training.options import Schedule
from harness.training.tasks.task_options import TaskOptions

KEYS: Final = {
    "name": "Name of the experiment's folder; the file's name unless given.",
    "nodes": "How many nodes every run has; 4, or what a topology's file says, unless given.",
    "topologies": f"A name, a file, or a list of them; {DEFAULTS.topology} unless given.",
    "profiles": "A name, a file, or a list of them. Required.",
    "strategies": "A name, a mapping of `name` and options, or a list of these; an option that is a list makes a run "
    "for each value. This or `command` is required.",
    "H": "Local steps of all strategies that have this option and do not set it: a number, or a list.",
    "seeds": "Seeds of the model, the data and the strategy: a number, or a list; 0 unless given.",
    **NETWORK_KEYS,
    SCENARIO: "Changes every run's network while it trains: a scenario's file or name (docs/scenarios.md), none, or a "
    "list of them, which makes a run for each; also in `grid`.",
    "network_seed": "Seed of the values that links draw: one network for all `seeds`. Without it each seed draws its "
    "own network.",
    "task": "A name, or a mapping with the keys below; digits unless given.",
    **{one.name: f"{help_of(one).capitalize()}; {one.default} unless given." for one in fields(Schedule)},
    "target": "`{loss: 0.4}` or `{accuracy: 0.9}`, on the held-out set: the report says when it was reached.",
    "stop_at_target": "Whether a run ends there: true or false; false unless given.",
    "limit": "The longest that a run may train: 90s, 2min or 1.5h; no limit unless given. "
    "Of a command, from its start.",
    "command": "The program and its arguments, a list, run on every node. `{name}` stands for a value of the grid, "
    f"or {', '.join(f'`{{{name}}}` ({what})' for name, what in ALWAYS.items())}; "
    "`{{name}}` for `{name}` itself. The seed is in HARNESS_SEED, too.",
    "grid": "With `command`: parameters with their values; makes a run for each combination.",
    "env": "With `command`: its environment variables, with placeholders.",
    "measure": "With `command`, what counts: `wall_time`; `{log: loss}`, a value of `harness.log(loss=...)` in the "
    "script; `{regex: 'loss=([0-9.]+)'}`, the group in lines that ranks print; `{jsonl: PATH, key: loss}`, in lines of "
    "a file that the script writes. A group `(?P<accuracy>...)` names the value, which is `loss` unless given; a group "
    "or key `step` is its step, else values are counted. What `target` names, or else `wall_time`, unless given.",
}
"""The keys of the file, with what they mean (docs/reference/)."""
_OF_STRATEGIES: Final = ("H", "task", *(one.name for one in fields(Schedule)))
_OF_COMMANDS: Final = ("grid", "env", "measure")


def load_experiment(
    path: Path, *, check_options: bool = True, root: Path | None = None, name: str | None = None
) -> Experiment:
    """Read and check a file; profiles, topologies and strategies that it names must be there.

    Args:
        path: of the file.
        check_options: whether strategies are imported to check their options, which needs PyTorch.
        root: the folder to which paths in the file are relative; None: the file's own.
        name: of the experiment, where the file gives none; None: the file's name.

    Raises:
        InputError: with file and line.
        UnavailableError: there is no PyTorch to check options with.
    """
    values = read_yaml(path, InputError).mapping(KEYS)
    root = root or path.parent
    given: dict[str, Any] = {"name": _name(values["name"]) if "name" in values else name or plain(path.stem)}
    _check_keys(path, values)
    readers: dict[str, Callable[[Entry], Any]] = {
        "nodes": lambda entry: count(entry, 2),
        "seeds": lambda entry: tuple(several(entry, seed)),
        "network_seed": seed,
        "target": _target,
        "task": lambda entry: _task(entry, root),
        "stop_at_target": truth,
    }
    given |= {key: read(values[key]) for key, read in readers.items() if key in values}
    given["profiles"] = _checked(values["profiles"], root, load_profile)
    if topologies := values.get("topologies"):
        given["topologies"] = _checked(topologies, root, lambda name: build_topology(name, given.get("nodes")))
    else:
        located(values.get("nodes", values["profiles"]), lambda: build_topology(DEFAULTS.topology, given.get("nodes")))
        given["topologies"] = (DEFAULTS.topology,)
    given["network"] = read_network(values, root, given["topologies"], given.get("nodes"))
    given["scenarios"] = read_scenarios(values, root)
    if "command" in values:
        given["variants"] = tuple(read_commands(values, root))
        given["measure"] = read_measure(values, given.get("target"))
    else:
        given["variants"] = tuple(read_strategies(values["strategies"], values.get("H"), root, check_options))
    counts = {one.name: count(values[one.name], least_of(one)) for one in fields(Schedule) if one.name in values}
    given["schedule"] = Schedule(**counts)
    if "limit" in values:
        given["limit_seconds"] = _limit(values["limit"])
    try:
        return Experiment(**given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_keys(path: Path, values: Mapping[str, Entry]) -> None:
    """Refuse a file without profiles, or with keys of neither or both of strategies and a command."""
    work = [key for key in ("strategies", "command") if key in values]
    if missing := [*([] if "profiles" in values else ["profiles"]), *([] if work else ["strategies"])]:
        needs = "an experiment needs profiles, and strategies or a command"
        raise InputError(f"{path}: {' and '.join(missing)} missing; {needs}")
    if len(work) > 1:
        raise values["command"].fault("an experiment has strategies or a command, not both")
    others, kind = (_OF_STRATEGIES, "strategies") if "command" in values else (_OF_COMMANDS, "a command")
    if wrong := next((key for key in others if key in values), None):
        what = "its script decides that" if kind == "strategies" else "write options at each strategy"
        raise values[wrong].fault(f"this is for {kind}; {what}")


def _name(entry: Entry) -> str:
    name = entry.text("a name")
    located(entry, lambda: check_name(name))
    return name


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
        located(part, lambda: check(name))
        return name

    return tuple(several(entry, one))


def _task(entry: Entry, root: Path) -> TaskOptions:
    if not entry.is_mapping:
        name = entry.text("a task's name")
        return cast(TaskOptions, located(entry, lambda: TaskOptions(name)))
    types = get_type_hints(TaskOptions)
    given: dict[str, Any] = {}
    for key, value in entry.mapping([one.name for one in fields(TaskOptions)]).items():
        text = value.text("a value")
        if key == "data":
            given[key] = str((root / text).resolve())
            if not Path(given[key]).exists():
                raise value.fault(f"there is no {given[key]}")
        elif types[key] in (int, int | None):
            given[key] = count(value)
        elif types[key] is float:
            given[key] = located(value, partial(number, text))
        else:
            given[key] = text
    return cast(TaskOptions, located(entry, lambda: TaskOptions(**given)))


def _target(entry: Entry) -> tuple[str, float]:
    values: Mapping[str, Entry] = entry.mapping(["loss", "accuracy"])
    if len(values) != 1:
        raise entry.fault("a target is one of loss and accuracy, e.g. {loss: 0.4}")
    ((name, value),) = values.items()
    least = located(value, lambda: number(value.text("a number")))
    if not 0 < least < math.inf or (name == "accuracy" and least > 1):
        raise value.fault(f"{least:g} where {'a share up to 1' if name == 'accuracy' else 'a loss over 0'} is expected")
    return name, least
