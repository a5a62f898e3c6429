"""Events in which links follow packet-delivery traces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.errors import InputError, quoted
from harness.model.delivery import Delivery
from harness.model.delivery_file import is_delivery
from harness.model.link import Pair
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import parse_pairs
from harness.model.units import Time
from harness.model.yaml_file import Entry, read_text
from harness.scenario.deliveries import DeliveryAction, Served
from harness.scenario.fields import duration, edge_of, factor, located, refuse, yes

Values = Mapping[str, Entry]
KEYS: Final = ("up", "down", "format")
"""Keys that only these events have."""
_FORMATS: Final = ("csv", "mahimahi")
_KNOWN: Final = ("edge", "one_way", "file", "loop", "offset", "scale", "speed", *KEYS)
_WAYS: Final = ("up", "down")


def follows_delivery(values: Values, folder: Path) -> bool:
    """Whether the event has a packet-delivery trace: by its keys, or by the contents of its file. Raises InputError."""
    form = values.get("format")
    if form is not None and form.word not in _FORMATS:
        raise form.fault(f"{quoted(form.word)} is unknown; one of {', '.join(_FORMATS)}")
    ways = [key for key in _WAYS if key in values]
    if form is not None and form.word == "csv":
        if ways or "file" not in values:
            raise values[ways[0] if ways else "format"].fault("give file; up and down are for packet-delivery traces")
        return False
    if form is not None or ways or "file" not in values:
        return form is not None or bool(ways)
    path = folder / values["file"].text("a file")
    return is_delivery(located(values["file"], lambda: read_text(path, InputError)))


def read_event(place: Entry, values: Values, folder: Path) -> DeliveryAction:
    """The event's action. Raises InputError."""
    for key, entry in values.items():
        if key not in _KNOWN:
            raise entry.fault(f"{key} does not go with a packet-delivery trace, which is of edges")
    edge, ways = edge_of(place, values), [key for key in _WAYS if key in values]
    if bool(ways) == ("file" in values):
        raise place.fault("give file, or up and down: of the directions from A to B and back")
    if not ways:
        one_way = yes(values, "one_way")
        delivery = _played(values, values["file"], folder)
        part = Served(delivery, lambda plan: parse_pairs(edge, plan, one_way=one_way))
        return DeliveryAction(f"trace {edge} {delivery}", (part,))
    refuse(values, ("one_way",), "up and down: give one of these")
    if edge == "all":
        raise values["edge"].fault("up is from A to B: write edges as A-B, several as A-B,C-D")
    parts = [Served(_played(values, values[way], folder), _pairs(edge, way)) for way in ways]
    words = " ".join(f"{way} {part.delivery}" for way, part in zip(ways, parts, strict=True))
    return DeliveryAction(f"trace {edge} {words}", tuple(parts))


def _pairs(edge: str, way: str) -> Any:
    def pairs(plan: NetworkPlan) -> list[Pair]:
        there = parse_pairs(edge, plan, one_way=True)
        return there if way == "up" else [pair[::-1] for pair in there]

    return pairs


def _played(values: Values, file: Entry, folder: Path) -> Delivery:
    """The trace in a file, with the event's loop, scale, speed and offset."""
    path = folder / file.text("a file")
    delivery = located(file, lambda: Delivery.read(path))
    how: dict[str, Any] = {"loop": yes(values, "loop")} if "loop" in values else {}
    if "scale" in values:
        how["scale"] = factor(values["scale"], "scale", "0.5 for half the rates")
    if "speed" in values:
        how["speed"] = factor(values["speed"], "speed", "2 for twice as fast")
    if "offset" in values:
        how["offset"] = Time.from_seconds(duration(values["offset"], zero=True))
    return located(values.get("offset", file), lambda: replace(delivery, **how))
