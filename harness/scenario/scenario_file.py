"""Scenario files: what happens to a network, and when. YAML::

    description: A line that flaps, and a slow evening     # optional
    seed: 3                                                # optional: of random times; --seed wins
    until: 10m                                             # optional: nothing happens later
    events:
      - {at: 4s, set: {edge: 0-1, delay: 80ms}}            # every key that `harness link set` has; one_way: true
      - {at: 10s, for: 5s, set: {edge: all, loss: 5%}}     # after 5 s the loss is what it was before
      - {at: 20s, profile: {edge: all, name: mobile}}      # a whole new shape; seed: of its draws
      - {every: 30s, for: 2s, down: {edge: 1-2}}           # at 30 s, 60 s, ...; at: 5s begins earlier
      - {mtbf: 5m, for: 20s, partition: "0,1|2,3"}         # by chance: the mean time between two of them
      - {at: 60s, ramp: {edge: 0-1, rate: [100mbit, 5mbit], over: 20s, step: 500ms}}
      - {at: 10s, trace: {edge: 0-1, file: lte.csv, loop: true}}
      - {at: 10s, trace: {node: 2, side: uplink, file: lte.csv, offset: 30s, scale: 0.5}}
      - {at: 0s, trace: {edge: 0-1, model: starlink, seed: 7}}   # a model in place of a recording
      - {at: step 100, set: {edge: all, rate: 20mbit}}     # when the job has done that step; or every: 50 steps
      - {at: 15s, node: {ranks: 2, uplink: 5mbit, cpu: 25%}}         # as `harness node set`
      - {at: 15s, trunk: {regions: eu-us, rate: 100mbit}}  # as `harness trunk set`
      - {at: 30s, for: 10s, traffic: {from: 0, to: 1, rate: 30mbit}}   # or flows: 4; without for: until the end
      - {at: 40s, kill: {node: 2}, back: 20s}              # its programs are killed; back is for, by another name
      - {mtbf: 5m, for: 10s, pause: {node: any}}           # any but rank 0; or [2, 3], or share: 20%
      - {at: 60s, for: 5s, cut: {node: 3}}                 # all its links are down
      - {at: 0, availability: {file: spot.csv, by: kill}}  # time_s,event,node; see availability_file.py

Times are from the scenario's start. At the end of `for`, what the event changed is undone, and nothing else. Paths are
relative to the file. See trace_file.py for traces.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.errors import InputError, quoted
from harness.model.units import is_whole_number
from harness.model.yaml_file import Entry, read_yaml
from harness.scenario.action import LoadAction
from harness.scenario.actions import READERS, nodes
from harness.scenario.fields import duration, located
from harness.scenario.schedule import Event, NetworkScenario
from harness.scenario.timing import Timing

SCENARIO_KEYS: Final = {
    "description": "What it is, in one line.",
    "seed": "Seed of random times and drawn values; 0 unless given.",
    "until": "The scenario's end: nothing happens later.",
    "events": "A list of events.",
}
"""The keys of a scenario's file, with what they mean (docs/reference/)."""
TIMING_KEYS: Final = {
    "at": "The first time, from the scenario's start; or `step 100`: when the job has done that step.",
    "every": "The time from one beginning to the next; or `50 steps`.",
    "mtbf": "The mean time from one end to the next beginning, by chance (a Poisson process).",
    "for": "How long it lasts; then what it changed is taken back.",
    "back": "The same as `for`, for nodes that are away.",
    "until": "No repetition begins at this time or later.",
}
"""The keys of an event that say when."""
ACTION_KEYS: Final = {key: reader.meaning for key, reader in READERS.items()}
"""The keys of an event that say what happens: one of these."""


def load_scenario(path: Path, seed: int | None = None) -> NetworkScenario:
    """Read a scenario without touching the machine.

    Args:
        path: of the file.
        seed: in place of the file's own.

    Raises:
        InputError: the file is missing or wrong; with file, line and place.
    """
    root = read_yaml(path, InputError)
    values = root.mapping(SCENARIO_KEYS)
    if "events" not in values:
        raise root.fault("events are missing")
    if seed is None:
        seed = values["seed"].whole_number("a seed") if "seed" in values else 0
    until = duration(values["until"]) if "until" in values else None
    events = tuple(_event(entry, path.parent, seed) for entry in values["events"].items())
    if not events:
        raise values["events"].fault("there is no event")
    description = " ".join(values["description"].text("a line of text").split()) if "description" in values else ""
    return NetworkScenario(events, seed, until, description)


def _event(entry: Entry, folder: Path, seed: int) -> Event:
    values = entry.mapping([*TIMING_KEYS, *ACTION_KEYS])
    actions = [key for key in ACTION_KEYS if key in values]
    if len(actions) != 1:
        found = f"has {' and '.join(actions)}" if actions else "says nothing that happens"
        raise entry.fault(f"an event {found}; give one of {', '.join(ACTION_KEYS)}")
    times = {
        key: duration(values[key], zero=key == "at")
        for key in TIMING_KEYS
        if key in values and _steps(values, key) is None
    }
    lasts, first, every = _lasts(entry, times, actions[0]), _steps(values, "at"), _steps(values, "every")
    timing = located(entry, lambda: Timing(**times, lasts=lasts, at_step=first, every_steps=every))
    place = values[actions[0]]
    action = READERS[actions[0]].read(place, folder, seed)
    if isinstance(action, LoadAction) and timing.lasts is None and timing.every is not None:
        raise entry.fault("traffic that comes again and again needs for: how long it lasts")
    if actions[0] == "availability" and timing.comes_again:
        raise entry.fault("availability begins once, at a time or a step; loop: true begins its file again")
    return Event(timing, action, f"{entry.source}:{entry.line}: {place.path}")


def _lasts(entry: Entry, times: dict[str, float], action: str) -> float | None:
    """The value of ``for`` or ``back``."""
    if "back" in times:
        if action not in nodes.READERS:
            raise entry.fault(f"back is for nodes that are away ({', '.join(nodes.READERS)}); write for: how long")
        if "for" in times:
            raise entry.fault("for and back say the same: give one of them")
    return times.pop("for", None) or times.pop("back", None)


def _steps(values: Mapping[str, Entry], key: str) -> int | None:
    """The number in ``at: step 100`` or ``every: 50 steps``; None where it is a time."""
    words = values[key].word.split() if key in values and values[key].is_scalar else []
    if "step" not in words and "steps" not in words:
        return None
    numbers = [word for word in words if word not in ("step", "steps")]
    if len(numbers) != 1 or not is_whole_number(numbers[0]) or not int(numbers[0]):
        raise values[key].fault(
            f"{quoted(values[key].word)} is not a number of steps; write at: step 100, every: 50 steps"
        )
    return int(numbers[0])
