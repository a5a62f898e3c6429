"""Reads changes.jsonl: the changes of links, nodes' limits and trunks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.experiment.report.load.jsonl import Oddities, number, objects, parsed, whole
from harness.experiment.report.load.network_records import RecordedChange
from harness.model.capacity import Capacity
from harness.model.capacity_edit import SIDES
from harness.model.format import format_distinct, format_limit, format_shape, format_share
from harness.model.link import LinkShape

_SENSELESS: Final = (HarnessError, KeyError, TypeError, ValueError, AttributeError)


def load_changes(path: Path, oddities: Oddities) -> tuple[RecordedChange, ...]:
    """Every reshape in the order of the file; a missing file has none."""
    return tuple(parsed(path, oddities, _change))


def _change(record: Mapping[str, Any]) -> RecordedChange:
    edges = objects(record, "edges")
    texts = (f"{whole(edge, 'src')}→{whole(edge, 'dst')}: {_change_text(edge)}" for edge in edges)
    shapes = {(whole(edge, "src"), whole(edge, "dst")): _shape(edge.get("after")) for edge in edges}
    rates = {edge: _rate(shape) for edge, shape in shapes.items() if shape != "?"}
    limits = [f"node {whole(node, 'rank')}: {_limits_text(node)}" for node in objects(record, "nodes")]
    limits += [f"trunk {one.get('from')}→{one.get('to')}: {_limit_text(one)}" for one in objects(record, "trunks")]
    when = number(record, "asked"), number(record, "acknowledged")
    held = {edge: shape for edge, shape in shapes.items() if isinstance(shape, LinkShape)}
    return RecordedChange(*when, tuple(texts), rates, tuple(limits), dict(_caps(record)), held)


def _caps(record: Mapping[str, Any]) -> Iterator[tuple[str, Capacity | None]]:
    """The changed limits, as they are after the change; invalid ones are left out."""
    found = [(f"trunk {one.get('from')}->{one.get('to')}", one) for one in objects(record, "trunks")]
    for node in objects(record, "nodes"):
        sides = [node.get(key) for key in ("before", "after")]
        before, after = (side if isinstance(side, dict) else {} for side in sides)
        rank = whole(node, "rank")
        found += [(f"{side} {rank}", {"before": before.get(side), "after": after.get(side)}) for side in SIDES]
    for name, one in found:
        if one.get("before") != one.get("after"):
            with contextlib.suppress(*_SENSELESS):
                yield name, one["after"] and Capacity.from_json(one["after"])


def _limits_text(node: Mapping[str, Any]) -> str:
    """What changed: ``uplink 20 Mbit/s → 5 Mbit/s, CPU no limit → 25 %``."""
    before, after = node.get("before"), node.get("after")
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return "?"
    sides = ({"side": side, "before": before.get(side), "after": after.get(side)} for side in SIDES)
    texts = [f"{one['side']} {_limit_text(one)}" for one in sides if one["before"] != one["after"]]
    cpus = [one.get("cpu") for one in (before, after)]
    return ", ".join([*texts, *([f"CPU {' → '.join(map(_cpu_text, cpus))}"] if cpus[0] != cpus[1] else [])])


def _cpu_text(cores: object) -> str:
    if cores is None:
        return "no limit"
    return format_share(cores) if isinstance(cores, int | float) else "?"


def _limit_text(change: Mapping[str, Any]) -> str:
    """``no limit → 5 Mbit/s``."""
    try:
        limits = [value and Capacity.from_json(value) for value in (change.get("before"), change.get("after"))]
    except _SENSELESS:
        return "?"
    return " → ".join(format_distinct(format_limit, limits))


def _rate(shape: LinkShape | str) -> float | None:
    return shape.rate.bit_s if isinstance(shape, LinkShape) and shape.rate else None


def _change_text(edge: Mapping[str, Any]) -> str:
    """The fields that changed: ``delay 20 ms → delay 120 ms``; ``down`` for a link that is down."""
    shapes = [_shape(edge.get("before")), _shape(edge.get("after"))]
    old, new = shapes
    if isinstance(old, LinkShape) and isinstance(new, LinkShape):
        names = [field.name for field in fields(LinkShape) if getattr(old, field.name) != getattr(new, field.name)]
        if not names:
            return "as before"
        changed = [LinkShape.unchecked(**{name: getattr(shape, name) for name in names}) for shape in (old, new)]
        return " → ".join(format_distinct(format_shape, changed))
    return " → ".join(format_shape(shape) if isinstance(shape, LinkShape) else shape for shape in shapes)


def _shape(recorded: object) -> LinkShape | str:
    if not isinstance(recorded, dict):
        return "?"
    if recorded.get("down"):
        return "down"
    try:
        shape = LinkShape.from_json(recorded, checked=False)
        format_shape(shape)
    except _SENSELESS:
        return "?"
    return shape
