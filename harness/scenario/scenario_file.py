"""NetworkScenario files: what happens to a network, and when. YAML::

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
      - {at: step 100, set: {edge: all, rate: 20mbit}}     # when the job has done that step; or every: 50 steps
      - {at: 15s, node: {ranks: 2, uplink: 5mbit}}         # as `harness node set`
      - {at: 15s, trunk: {regions: eu-us, rate: 100mbit}}  # as `harness trunk set`
      - {at: 30s, for: 10s, traffic: {from: 0, to: 1, rate: 30mbit}}   # or flows: 4; without for: until the end

Times are from the scenario's start. An event that has `for` takes back what it changed, and nothing else. Paths are
relative to the file. Of a trace, see trace_file.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from harness.errors import InputError, quoted
from harness.model.capacity_edit import node_change, trunk_change
from harness.model.format import format_time
from harness.model.link import LINK_FIELDS
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import crossing, parse_pairs, set_down, shape_change
from harness.model.units import Time, is_whole_number, parse_duration
from harness.model.yaml_file import Entry, read_yaml
from harness.scenario.action import Action, Edit, LoadAction, PlanEdit, Series, ramp
from harness.scenario.schedule import Event, NetworkScenario
from harness.scenario.timing import Timing
from harness.scenario.trace_file import read_trace
from harness.traffic.spec import parse_spec

SCENARIO_KEYS: Final = {
    "description": "One line for people.",
    "seed": "Of times that come by chance, and of draws; 0 unless given.",
    "until": "Nothing happens later than this.",
    "events": "A list of events.",
}
"""The keys of a scenario's file, with what they mean (docs/reference/)."""
TIMING_KEYS: Final = {
    "at": "The first time, from the scenario's start; or `step 100`: when the job has done that step.",
    "every": "The time from one beginning to the next; or `50 steps`.",
    "mtbf": "The mean time from one end to the next beginning, by chance (a Poisson process).",
    "for": "How long it lasts; then what it changed is taken back.",
    "until": "None begins at this time or later.",
}
"""The keys of an event that say when."""
ACTION_KEYS: Final = {
    "set": "New values of links: `edge`, and what `harness link set` takes; `one_way`, `clear`.",
    "profile": "A whole new shape of links, drawn from a profile: `edge`, `name`, `seed`, `one_way`.",
    "down": "Links lose all: `edge`, `one_way`.",
    "up": "Links that were down are up again: `edge`, `one_way`.",
    "partition": "All links between groups of ranks are down: `0,1|2,3`.",
    "heal": "All links are up again: `all`.",
    "ramp": "Values go from one to another: `edge`, `[from, to]` by field, `over`, `step` (100 ms), `one_way`.",
    "trace": "Values of links follow a file: `edge`, `file`, `loop`, `speed`, `one_way`.",
    "node": "Uplinks and downlinks: `ranks`, and what `harness node set` takes.",
    "trunk": "What regions share: `regions`, and what `harness trunk set` takes; `one_way`.",
    "traffic": "A load: `from`, `to`, `rate` (and `on`, `off`) or `flows` (and `cc`).",
}
"""The keys of an event that say what happens: one of these."""
_CAP: Final = ("queue", "buffer", "overhead")
_RAMPS: Final = ("rate", "delay", "jitter", "loss")
_STEP: Final = 0.1
_LEAST: Final = 0.001
"""Seconds: no network changes faster."""
_MOST_POINTS: Final = 100_000
"""Of a ramp."""


def load_scenario(path: Path, seed: int | None = None) -> NetworkScenario:
    """Read a scenario; touches no machine.

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
    until = _duration(values["until"]) if "until" in values else None
    events = tuple(_event(entry, path.parent, seed) for entry in values["events"].items())
    if not events:
        raise values["events"].fault("there is no event")
    return NetworkScenario(events, seed, until)


def _event(entry: Entry, folder: Path, seed: int) -> Event:
    values = entry.mapping([*TIMING_KEYS, *ACTION_KEYS])
    actions = [key for key in ACTION_KEYS if key in values]
    if len(actions) != 1:
        found = f"has {' and '.join(actions)}" if actions else "says nothing that happens"
        raise entry.fault(f"an event {found}; give one of {', '.join(ACTION_KEYS)}")
    times = {
        key: _duration(values[key], zero=key == "at")
        for key in TIMING_KEYS
        if key in values and _steps(values, key) is None
    }
    try:
        lasts = times.pop("for", None)
        timing = Timing(**times, lasts=lasts, at_step=_steps(values, "at"), every_steps=_steps(values, "every"))
    except InputError as cause:
        raise entry.fault(cause) from None
    place = values[actions[0]]
    action = _READERS[actions[0]](place, folder, seed)
    if isinstance(action, LoadAction) and timing.lasts is None and timing.every is not None:
        raise entry.fault("traffic that comes again and again needs for: how long it lasts")
    return Event(timing, action, f"{entry.source}:{entry.line}: {place.path}")


def _steps(values: Mapping[str, Entry], key: str) -> int | None:
    """The number in ``at: step 100`` or ``every: 50 steps``; None where it is a time."""
    words = values[key].word.split() if key in values and values[key].is_scalar else []
    if "step" not in words and "steps" not in words:
        return None
    numbers = [word for word in words if word not in ("step", "steps")]
    if len(numbers) != 1 or not is_whole_number(numbers[0]) or not int(numbers[0]):
        raise values[key].fault(
            f"{quoted(values[key].word)} is no number of steps; write at: step 100, every: 50 steps"
        )
    return int(numbers[0])


def _duration(entry: Entry, *, zero: bool = False) -> float:
    text = entry.text("a time, e.g. 500ms, 20s or 5m,")
    try:
        if zero and not text.strip(" 0.smin"):
            return 0.0
        fine = text.strip().lower().endswith(("ms", "us"))
        seconds = Time.parse(text).seconds if fine else parse_duration(text)
    except InputError as cause:
        raise entry.fault(cause) from None
    if seconds < _LEAST:
        raise entry.fault(f"{quoted(text)} is under {format_time(_LEAST)}, the finest step of a scenario")
    return seconds


def _yes(values: Mapping[str, Entry], key: str) -> bool:
    if key not in values:
        return False
    if values[key].word not in ("true", "false", "yes", "no"):
        raise values[key].fault(f"{quoted(values[key].word)} is neither true nor false")
    return values[key].word in ("true", "yes")


def _texts(values: Mapping[str, Entry], keys: tuple[str, ...]) -> dict[str, str]:
    return {key: values[key].word for key in keys if key in values}


def _edge(place: Entry, values: Mapping[str, Entry]) -> str:
    if "edge" not in values:
        raise place.fault("edge is missing: A-B, several as A-B,C-D, or all")
    return values["edge"].text("an edge, e.g. 0-1,")


def _made(place: Entry, make: Callable[[], PlanEdit]) -> PlanEdit:
    try:
        return make()
    except InputError as cause:
        raise place.fault(cause) from None


def _set(place: Entry, _: Path, __: int) -> Action:
    values = place.mapping(["edge", "one_way", "clear", *LINK_FIELDS])
    edge, texts = _edge(place, values), _texts(values, tuple(LINK_FIELDS))
    one_way, clear = _yes(values, "one_way"), _yes(values, "clear")
    words = " ".join(["set", edge, *(["clear"] if clear else []), *(f"{key} {text}" for key, text in texts.items())])
    return Edit(words, _made(place, lambda: shape_change(edge, texts, one_way=one_way, clear=clear)))


def _profile(place: Entry, folder: Path, seed: int) -> Action:
    values = place.mapping(["edge", "name", "seed", "one_way"])
    edge = _edge(place, values)
    if "name" not in values:
        raise place.fault("name is missing: of a profile, or its file")
    name = values["name"].text("a profile")
    own = values["seed"].whole_number("a seed") if "seed" in values else None
    found = str(folder / name) if "/" in name else name
    one_way = _yes(values, "one_way")
    return Edit(
        f"profile {edge} {name}",
        _made(place, lambda: shape_change(edge, {}, one_way=one_way, profile=found, seed=own)),
    )


def _down(down: bool) -> Callable[[Entry, Path, int], Action]:
    def read(place: Entry, _: Path, __: int) -> Action:
        values = place.mapping(["edge", "one_way"])
        edge, one_way = _edge(place, values), _yes(values, "one_way")

        def edit(plan: NetworkPlan) -> NetworkPlan:
            return set_down(plan, parse_pairs(edge, plan, one_way=one_way), down)

        return Edit(f"{'down' if down else 'up'} {edge}", edit)

    return read


def _partition(place: Entry, _: Path, __: int) -> Action:
    groups = place.text("groups of ranks, e.g. 0,1|2,3,")
    return Edit(f"partition {groups}", lambda plan: set_down(plan, crossing(groups, plan), True))


def _heal(place: Entry, _: Path, __: int) -> Action:
    if not place.says("all"):
        raise place.fault("write heal: all")
    return Edit("heal", lambda plan: set_down(plan, plan.edges, False))


def _ramp(place: Entry, _: Path, __: int) -> Action:
    values = place.mapping(["edge", "over", "step", "one_way", *_RAMPS])
    edge, one_way = _edge(place, values), _yes(values, "one_way")
    if "over" not in values:
        raise place.fault("over is missing: how long it takes")
    ends: dict[str, tuple[str, str]] = {}
    for key in _RAMPS:
        if key in values:
            parts = values[key].items()
            if len(parts) != 2:
                raise values[key].fault("write two values, [from, to]")
            ends[key] = (parts[0].word, parts[1].word)
    if not ends:
        raise place.fault(f"nothing to change: give one of {', '.join(_RAMPS)} as [from, to]")
    step = _duration(values["step"]) if "step" in values else _STEP
    if (steps := _duration(values["over"]) / step) > _MOST_POINTS:
        raise place.fault(f"{steps:.0f} steps are more than {_MOST_POINTS}: take a longer step")
    try:
        points = ramp(ends, _duration(values["over"]), step)
    except InputError as cause:
        raise place.fault(cause) from None
    return Series(f"ramp {edge}", points, lambda texts: shape_change(edge, texts, one_way=one_way))


def _trace(place: Entry, folder: Path, _: int) -> Action:
    values = place.mapping(["edge", "file", "loop", "speed", "one_way"])
    edge, one_way = _edge(place, values), _yes(values, "one_way")
    if "file" not in values:
        raise place.fault("file is missing: a CSV file, see docs/scenarios.md")
    speed = 1.0
    if "speed" in values:
        try:
            speed = float(values["speed"].word)
        except ValueError:
            speed = 0.0
        if not 0 < speed <= 1000:
            raise values["speed"].fault(f"{quoted(values['speed'].word)} is no speed; write e.g. 2 for twice as fast")
    name = values["file"].text("a file")
    try:
        points, period = read_trace(folder / name)
    except InputError as cause:
        raise values["file"].fault(cause) from None
    return Series(
        f"trace {edge} {name}",
        points,
        lambda texts: shape_change(edge, texts, one_way=one_way),
        speed,
        period if _yes(values, "loop") else None,
    )


def _node(place: Entry, _: Path, __: int) -> Action:
    values = place.mapping(["ranks", "uplink", "downlink", *_CAP])
    ranks = values["ranks"].word if "ranks" in values else "all"
    texts = _texts(values, ("uplink", "downlink", *_CAP))
    words = " ".join(f"{key} {text}" for key, text in texts.items())
    return Edit(f"node {ranks} {words}", _made(place, lambda: node_change(ranks, texts)))


def _trunk(place: Entry, _: Path, __: int) -> Action:
    values = place.mapping(["regions", "one_way", "rate", *_CAP])
    regions = values["regions"].word if "regions" in values else "all"
    texts, one_way = _texts(values, ("rate", *_CAP)), _yes(values, "one_way")
    words = " ".join(f"{key} {text}" for key, text in texts.items())
    return Edit(f"trunk {regions} {words}", _made(place, lambda: trunk_change(regions, texts, one_way=one_way)))


def _traffic(place: Entry, _: Path, __: int) -> Action:
    values = place.mapping(["from", "to", "rate", "on", "off", "flows", "cc"])
    if not {"from", "to"} <= values.keys():
        raise place.fault("from and to are missing: the ranks that send and receive")
    ends = f"{values['from'].whole_number('a rank')}-{values['to'].whole_number('a rank')}"
    try:
        texts = _texts(values, ("rate", "on", "off", "cc"))
        spec = parse_spec(
            ends,
            rate=texts.get("rate"),
            on=texts.get("on"),
            off=texts.get("off"),
            flows=values["flows"].whole_number("a number of flows") if "flows" in values else None,
            congestion_control=texts.get("cc"),
        )
    except InputError as cause:
        raise place.fault(cause) from None
    return LoadAction(f"traffic {ends.replace('-', '->')}: {spec.describe()}", spec)


_READERS: Final[Mapping[str, Callable[[Entry, Path, int], Action]]] = {
    "set": _set,
    "profile": _profile,
    "down": _down(True),
    "up": _down(False),
    "partition": _partition,
    "heal": _heal,
    "ramp": _ramp,
    "trace": _trace,
    "node": _node,
    "trunk": _trunk,
    "traffic": _traffic,
}
