"""Reads the command of an experiment's file, with its grid, environment and measure."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Final

from harness.errors import quoted
from harness.experiment.measure import WALL, Measure
from harness.experiment.placeholders import ALWAYS, NAME, check_names, names_in
from harness.experiment.spec import MAX_RUNS
from harness.experiment.spec_network import SCENARIO
from harness.experiment.spec_values import located, scalar, several
from harness.experiment.variants import SEED_VARIABLE, CommandVariant, OwnCommand
from harness.model.plan_options import PlanOptions
from harness.model.torchrun import environment
from harness.model.yaml_file import Entry

_PLAIN: Final = re.compile(r"[\w./=+-]+")
"""Words that need no quotes in YAML."""
_MEASURE: Final = ("log", "regex", "jsonl", "key")
_EXAMPLE: Final = "wall_time, {log: loss}, {regex: 'loss=([0-9.]+)'} or {jsonl: metrics.jsonl, key: loss}"


def read_commands(values: Mapping[str, Entry], root: Path) -> list[CommandVariant]:
    """The command of a file, once for every point of its grid. Raises InputError with file and line.

    ``root``: the folder in which the command starts.
    """
    grid = _grid(values["grid"]) if "grid" in values else {}
    argv = _argv(values["command"])
    env = _env(values["env"]) if "env" in values else {}
    known = [*grid, *ALWAYS]
    places = [*values["command"].items(), *(values["env"].named("lr").values() if env else ())]
    for place in places:
        located(place, partial(check_names, scalar(place), known))
    used = {name for place in places for name in names_in(scalar(place))} | _in_measure(values)
    for name in grid:
        if name not in used:
            unused = values["grid"].named("lr")[name]
            raise unused.fault(f"nothing depends on it: write {{{name}}} in command or env, or leave it out")
    if (points := math.prod(map(len, grid.values()))) > MAX_RUNS:
        raise values["grid"].fault(f"{points} combinations: an experiment has at most {MAX_RUNS} runs")
    command = OwnCommand(tuple(argv), env, root.resolve())
    return [CommandVariant(command, dict(zip(grid, point, strict=True))) for point in product(*grid.values())]


def read_measure(values: Mapping[str, Entry], target: tuple[str, float] | None) -> Measure:
    """What is measured: as the file says, else the value of its target, else the wall time. Raises InputError."""
    entry = values.get("measure")
    if entry is None:
        return Measure("log", target[0]) if target else Measure()
    measure = _measure(entry)
    known = [*(values["grid"].named("lr") if "grid" in values else ()), *ALWAYS]
    located(entry, lambda: check_names(measure.path, known))
    if target and measure.name != target[0]:
        named = "; a group (?P<accuracy>...) names what it finds" if measure.kind == "regex" else ""
        raise entry.fault(f"measures {measure.name}, but the target is of {target[0]}: they must be the same{named}")
    return measure


def _argv(entry: Entry) -> list[str]:
    if not entry.is_list:
        text = entry.text("a list, e.g. [python, train.py],")
        words = ", ".join(word if _PLAIN.fullmatch(word) else json.dumps(word) for word in _words(text))
        raise entry.fault(f"write the program and each argument by itself: [{words}]")
    argv = [_text(one) for one in entry.items()]
    if not argv or not argv[0]:
        raise entry.fault("an empty command: there is nothing to run")
    for one, word in zip(entry.items(), argv, strict=True):
        if "\0" in word:
            raise one.fault("an argument cannot have a zero byte")
    return argv


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # an open quote
        return text.split()


def _text(entry: Entry) -> str:
    """A value as it is written. Refuses ``{lr}`` without quotes, which is a mapping in YAML."""
    keys = [key.value for key, value in entry.node.value if not value.value] if entry.is_mapping else []
    if keys:
        raise entry.fault(f'{{{keys[0]}}} without quotes is a mapping in YAML: write "{{{keys[0]}}}"')
    return scalar(entry)


def _grid(entry: Entry) -> dict[str, list[str]]:
    found = {}
    for name, value in entry.named("lr").items():
        if name == SCENARIO:  # its values stand for themselves, in no argument: see spec_network
            continue
        if not NAME.fullmatch(name):
            raise value.fault(f"{quoted(name)} cannot be a placeholder: use letters, digits and '_'")
        if name in ALWAYS:
            raise value.fault(f"every command has {name} ({ALWAYS[name]}); give the parameter another name")
        found[name] = several(value, scalar)
    return found


def _env(entry: Entry) -> dict[str, str]:
    found = {}
    for name, value in entry.named("lr").items():
        if not NAME.fullmatch(name):
            raise value.fault(f"{quoted(name)} cannot be a variable: use letters, digits and '_'")
        if name in _set_by_us():
            raise value.fault("harness sets this variable itself, for every rank")
        found[name] = _text(value)
    return found


@cache
def _set_by_us() -> frozenset[str]:
    """Variables that the harness sets in every node."""
    plan = PlanOptions(nodes=2).plan()
    others = dict.fromkeys(environment(plan, 0, {}), "?")
    ours = {name for name, value in environment(plan, 0, others).items() if value != "?"}
    return frozenset(ours | {SEED_VARIABLE, "HARNESS_RUN_DIR"})


def _measure(entry: Entry) -> Measure:
    if entry.says(WALL):
        return Measure()
    if entry.is_scalar or entry.is_list:
        raise entry.fault(f"write what to measure: {_EXAMPLE}")
    given = entry.mapping(_MEASURE)
    kinds = [key for key in given if key != "key"]
    if len(kinds) != 1 or ("key" in given) != (kinds == ["jsonl"]):
        raise entry.fault(f"write one of {_EXAMPLE}")
    (kind,) = kinds
    text = given[kind].text("a text")
    if kind == "regex":
        return located(given[kind], partial(Measure.of_regex, text))  # type: ignore[no-any-return]
    name = given["key"].text("a key") if kind == "jsonl" else text
    if kind == "log":
        if not NAME.fullmatch(text):
            raise given[kind].fault(f"{quoted(text)} cannot be a value's name: harness.log(loss=...) has loss")
        return Measure("log", text)
    return Measure("jsonl", name, path=text, key=name)


def _in_measure(values: Mapping[str, Entry]) -> set[str]:
    return names_in(_measure(values["measure"]).path) if "measure" in values else set()
