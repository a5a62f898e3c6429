"""Reads the options of an experiment's networks beside nodes, topologies and profiles: `uplink`, `mtu`, `scenario`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from harness.experiment.spec_values import located, several, truth
from harness.model.plan_options import DEFAULTS, OPTIONS, PLAN_OPTIONS, PlanOptions
from harness.model.profile_file import is_profile_path
from harness.model.yaml_file import Entry
from harness.scenario.scenario_file import load_scenario
from harness.scenario.scenario_name import NONE, scenario_path

_OTHERWISE: Final = ("nodes", "topology", "profile", "seed", "subnet", "subnet6")
"""Options that have other names in the file, or are on the command line only."""
SCENARIO: Final = "scenario"
"""The key, of the file or of its grid."""
NETWORK_KEYS: Final = {
    name: f"For the network of every run. {OPTIONS[name].help}" for name in PLAN_OPTIONS if name not in _OTHERWISE
}
"""The keys, with what they mean (docs/reference/)."""


def read_network(
    values: Mapping[str, Entry], root: Path, topologies: Iterable[str], nodes: int | None
) -> dict[str, Any]:
    """The options that the file gives, each checked with every topology. Raises InputError with file and line.

    ``root``: the folder to which paths are relative.
    """
    given = {name: _value(name, values[name], root) for name in NETWORK_KEYS if name in values}
    for name, value in given.items():
        for topology in topologies:
            options = PlanOptions(nodes, topology, "none", **{name: value})
            located(values[name], partial(options.plan))
    return given


def read_scenarios(values: Mapping[str, Entry], root: Path) -> tuple[str, ...]:
    """The absolute paths of the scenarios that the file names, after reading each. Raises InputError."""
    own, grid = values.get(SCENARIO), values["grid"].named("lr").get(SCENARIO) if "grid" in values else None
    if own and grid:
        raise own.fault("grid has it too: give it once")
    if (entry := own or grid) is None:
        return (NONE,)

    def one(part: Entry) -> str:
        text = part.text("a scenario's file or name, or none,")
        if text == NONE:
            return NONE
        path: Path = located(part, lambda: scenario_path(text, root))
        located(part, lambda: load_scenario(path))
        return str(path.resolve())

    return tuple(several(entry, one))


def _value(name: str, entry: Entry, root: Path) -> Any:
    match getattr(DEFAULTS, name):
        case bool():
            return truth(entry)
        case int():
            return entry.whole_number("a whole number")
    text = entry.text("a value")
    if isinstance(getattr(DEFAULTS, name), tuple):
        return (text,)
    return str((root / text).resolve()) if name == "between" and is_profile_path(text) else text
