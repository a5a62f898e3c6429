"""Reads traffic.jsonl: the cross traffic beside a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.experiment.report.load.jsonl import Malformed, Oddities, number, parsed, whole
from harness.experiment.report.load.network_records import FlowRecord, LoadSample, RecordedLoad
from harness.model.link import Pair
from harness.traffic.spec import TrafficSpec

_Key = tuple[int, float]
"""A load's number, which may be reused, and when it began."""


@dataclass
class _Load:
    spec: TrafficSpec
    path: tuple[Pair, ...]
    port: int
    samples: list[LoadSample] = field(default_factory=list)
    ended: float | None = None


def load_traffic(path: Path, oddities: Oddities) -> tuple[RecordedLoad, ...]:
    """Every load in the order of the file; a missing file has none."""
    found: dict[_Key, _Load] = {}

    def add(record: Mapping[str, Any]) -> None:
        kind = record.get("kind")
        if kind not in ("start", "sample", "stop"):
            raise Malformed(f"kind is {kind!r}")
        sample, key = _sample(record), (whole(record, "id"), number(record, "began"))
        if kind == "start":
            found[key] = _start(record)
        if load := found.get(key):
            load.samples.append(sample)
            load.ended = sample.time if kind == "stop" else load.ended

    for _ in parsed(path, oddities, add):
        pass
    return tuple(
        RecordedLoad(one.spec.src, one.spec.dst, one.spec.describe(), one.path, one.port, tuple(one.samples), one.ended)
        for one in found.values()
    )


def without_traffic(flows: Iterable[FlowRecord], traffic: Iterable[RecordedLoad]) -> tuple[FlowRecord, ...]:
    """The connections of the job, without those of cross traffic."""
    loads = {(load.src, load.dst, load.port) for load in traffic}
    ends = ((flow, (flow.src, flow.dst, flow.dst_port), (flow.dst, flow.src, flow.src_port)) for flow in flows)
    return tuple(flow for flow, there, back in ends if there not in loads and back not in loads)


def _sample(record: Mapping[str, Any]) -> LoadSample:
    return LoadSample(number(record, "time"), whole(record, "received_bytes"), whole(record, "lost_packets", 0))


def _start(record: Mapping[str, Any]) -> _Load:
    if record.get("rate_bit_s") is None and not whole(record, "flows"):
        raise Malformed("neither rate_bit_s nor flows")
    try:
        spec = TrafficSpec.from_json(record)
        spec.describe()
        path = tuple((int(src), int(dst)) for src, dst in record.get("path", ()))
    except (HarnessError, LookupError, TypeError, ValueError, AttributeError) as problem:
        raise Malformed(f"no load of cross traffic: {problem!r}") from None
    return _Load(spec, path, whole(record, "port", 0))
