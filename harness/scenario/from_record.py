"""Makes a scenario from the record of a run: its changes, cross traffic and absences, at their times; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.model.capacity import Capacity
from harness.model.cpu import CpuShare
from harness.model.delivery import Delivery
from harness.model.format import count
from harness.model.link import LINK_FIELDS, Pair
from harness.model.queueing import Buffer
from harness.model.units import Rate
from harness.networks.away import CAUSES

Json = Mapping[str, Any]
_TOGETHER_S: Final = 0.0015
"""Times of one change differ by at most this: the player joins what is due within 1 ms, and times have 1 ms."""
Fields = tuple[tuple[str, str], ...]
"""Names and texts of fields, as ``set`` takes them."""


def scenario_text(
    started: float,
    changes: Iterable[Json],
    traffic: Iterable[Json],
    away: Sequence[Json] = (),
    folder: Path = Path("."),
) -> str:
    """A scenario file, in YAML.

    Args:
        started: when the run began, seconds since the epoch.
        changes: the lines of changes.jsonl.
        traffic: the lines of traffic.jsonl.
        away: the lines of away.jsonl.
        folder: the run folder, which has its packet-delivery traces.
    """
    changes = list(changes)
    begun = [change["asked"] - change["at"] for change in changes if "at" in change]
    zero = min(begun, default=started)  # a scenario's start: none of its changes is early
    events = [
        event
        for change in _without_cuts(changes, away)
        for event in _changed(change.get("at", max(0.0, change["asked"] - zero)), change, folder)
    ]
    events += [*_loads(zero, traffic), *_absences(zero, away)]
    lines = [f"  - {{at: {at:.3f}s, {text}}}" for at, text in sorted(events, key=lambda event: event[0])]
    return "\n".join([f"description: What a recorded run met ({count(len(lines), 'event')})", "events:", *lines]) + "\n"


def _absences(zero: float, away: Sequence[Json]) -> Iterator[tuple[float, str]]:
    def at(line: Json) -> float:
        return float(line.get("at", max(0.0, line["time"] - zero)))

    for index, line in enumerate(away):
        if line["what"] in CAUSES:
            back = ("back", line["rank"], line["what"])
            ends = (at(later) for later in away[index:] if (later["what"], later["rank"], later.get("of")) == back)
            planned = None if line["until"] is None else at(line) + line["until"] - line["time"]
            end = next(ends, planned)
            lasts = "" if end is None else f"for: {max(0.001, end - at(line)):.3f}s, "
            yield at(line), f"{lasts}{line['what']}: {{node: {line['rank']}}}"


def _without_cuts(changes: Iterable[Json], away: Sequence[Json]) -> list[Json]:
    """The changes without links that go down or up because a node is cut off: that becomes a ``cut`` event.

    The player writes which node is cut off just before it changes the links.
    """
    left = list(changes)
    for line in away:
        if "cut" in (line["what"], line.get("of")):
            index = next((index for index, change in enumerate(left) if _made_by(line, change)), None)
            if index is not None:
                edges = [_left_alone(edge, line["rank"], line["what"] == "cut") for edge in left[index]["edges"]]
                left[index] = {**left[index], "edges": edges}
    return left


def _made_by(line: Json, change: Json) -> bool:
    if "at" in line and "at" in change:
        return abs(float(change["at"]) - float(line["at"])) <= _TOGETHER_S
    return bool(change["asked"] >= line["time"])


def _left_alone(edge: Json, rank: int, down: bool) -> Json:
    """The edge's change, without going down or up where the edge is the rank's."""
    if rank not in (edge["src"], edge["dst"]) or edge["after"]["down"] is not down:
        return edge
    return {**edge, "before": {**edge["before"], "down": down}}


def _changed(at: float, change: Json, folder: Path) -> Iterator[tuple[float, str]]:
    alike: dict[tuple[bool | None, Fields], list[Pair]] = {}
    for edge in change["edges"]:
        before, after = edge["before"], edge["after"]
        down = after["down"] if after["down"] != before["down"] else None
        alike.setdefault((down, _fields(before, after, folder)), []).append((edge["src"], edge["dst"]))
    for (down, fields), pairs in alike.items():
        for edges, one_way in _named(pairs):
            only = ", one_way: true" if one_way else ""
            if fields:
                words = ", ".join(f'{name}: "{text}"' for name, text in fields)
                yield at, f'set: {{edge: "{edges}", {words}{only}}}'
            if down is not None:
                yield at, f'{"down" if down else "up"}: {{edge: "{edges}"{only}}}'
    for node in change.get("nodes", ()):
        for side in ("uplink", "downlink"):
            if node["before"][side] != node["after"][side]:
                yield at, f"node: {{ranks: {node['rank']}, {side}: {_capacity(node['after'][side])}}}"
        before, after = (node[key].get("cpu") for key in ("before", "after"))
        if before != after:
            share = "none" if after is None else CpuShare.from_json(after)
            yield at, f"node: {{ranks: {node['rank']}, cpu: {share}}}"
    for trunk in change.get("trunks", ()):
        ways = f'regions: "{trunk["from"]}-{trunk["to"]}", one_way: true'
        yield at, f"trunk: {{{ways}, rate: {_capacity(trunk['after'])}}}"


def _fields(before: Json, after: Json, folder: Path) -> Fields:
    """The fields that changed; a field that an older version did not record had its default."""
    found = []
    for name, one in LINK_FIELDS.items():
        if before.get(one.json) != after.get(one.json):
            value = one.from_json(after.get(one.json))
            if isinstance(value, Delivery):
                value = replace(value, file=str(folder.absolute() / value.record_name))
            found.append((name, one.off if value is None else str(value)))
    return tuple(found)


def _named(pairs: list[Pair]) -> Iterator[tuple[str, bool]]:
    """The edges as ``edge`` has them, and whether only that direction is meant."""
    both = sorted({(min(pair), max(pair)) for pair in pairs if pair[::-1] in pairs})
    if both:
        yield ",".join(f"{a}-{b}" for a, b in both), False
    if single := sorted(pair for pair in pairs if pair[::-1] not in pairs):
        yield ",".join(f"{a}-{b}" for a, b in single), True


def _capacity(data: Json | None) -> str:
    """The rate, and further keys of ``node`` or ``trunk``."""
    if data is None:
        return "none"
    capacity = Capacity.from_json(data)
    buffer: Buffer | None = capacity.buffer
    parts = [str(capacity.rate), f'queue: "{capacity.queue}"']
    parts += [f"buffer: {buffer}"] if buffer is not None else []
    return ", ".join([*parts, f"overhead: {capacity.overhead}"])


def _loads(started: float, traffic: Iterable[Json]) -> Iterator[tuple[float, str]]:
    begun: dict[tuple[float, int], Json] = {}
    ended: dict[tuple[float, int], float] = {}
    for line in traffic:
        key = line["began"], line["id"]
        if line["kind"] == "start":
            begun.setdefault(key, line)
        elif line["kind"] == "stop":
            ended[key] = line["time"]
    for key, line in begun.items():
        at = max(0.0, line["began"] - started)
        lasts = f"for: {max(0.001, ended[key] - started - at):.3f}s, " if key in ended else ""
        words = [f"from: {line['src']}", f"to: {line['dst']}"]
        if line["rate_bit_s"] is None:
            words += [f"flows: {line['flows']}"]
            words += [f"cc: {line['congestion_control']}"] if line["congestion_control"] else []
        else:
            words += [f"rate: {Rate(line['rate_bit_s'])}"]
            words += [f"on: {line['on']:g}s, off: {line['off']:g}s"] if line["on"] else []
        yield at, f"{lasts}traffic: {{{', '.join(words)}}}"
