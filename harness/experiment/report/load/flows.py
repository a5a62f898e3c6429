"""Reads flows.jsonl, or flows-R.jsonl of every node: the TCP connections between nodes, over time."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from harness.errors import quoted
from harness.experiment.report.load.compact import FlowSamples
from harness.experiment.report.load.jsonl import Malformed, Oddities, are_counts, number, parsed, whole
from harness.experiment.report.load.network_records import FlowRecord

_US: Final = 1e-6
_COLUMNS: Final = 8
"""id, cwnd, rtt, retransmits, delivery rate, acknowledged bytes, busy, limited by the receiver's window."""


def load_flows(folder: Path, oddities: Oddities) -> tuple[FlowRecord, ...]:
    """The flows in the folder of a run, in the order in which they began."""
    one_for_all = folder / "flows.jsonl"
    paths = [one_for_all] if one_for_all.is_file() else sorted(folder.glob("flows-*.jsonl"))
    return tuple(flow for path in paths for flow in _load(path, oddities))


def _load(path: Path, oddities: Oddities) -> list[FlowRecord]:
    taken = _Flows()
    for _ in parsed(path, oddities, taken.add):
        pass
    if taken.unknown:
        oddities.add(path, f"samples of {len(taken.unknown)} flows that no line describes; ignored")
    return taken.flows()


class _Flows:
    """The flows of the lines of one file."""

    def __init__(self) -> None:
        self._about: dict[tuple[int, int], Mapping[str, Any]] = {}
        self._samples: dict[tuple[int, int], array[float]] = {}
        self._ended: dict[tuple[int, int], float] = {}

    @property
    def unknown(self) -> set[tuple[int, int]]:
        """(attempt, id) of flows that have samples and no line that describes them."""
        return self._samples.keys() - self._about.keys()

    def add(self, record: Mapping[str, Any]) -> None:
        """Add one record. Raises Malformed for invalid fields; unknown kinds are ignored."""
        kind, time, attempt = record.get("kind"), number(record, "time"), whole(record, "attempt", 1)
        if kind == "flow":
            self._about[attempt, whole(record, "id")] = _about(record)
        elif kind == "end":
            self._ended[attempt, whole(record, "id")] = time
        elif kind == "sample":
            for key, *values in _samples(record):
                of_flow = self._samples.setdefault((attempt, int(key)), array("d"))
                of_flow.extend((time, *values))

    def flows(self) -> list[FlowRecord]:
        """All flows that a line describes."""
        flows = []
        for key, about in self._about.items():
            samples = FlowSamples(self._samples.get(key, array("d")))
            flows.append(FlowRecord(key[1], key[0], **about, samples=samples, ended=self._ended.get(key)))
        return flows


def _about(record: Mapping[str, Any]) -> Mapping[str, Any]:
    ends = {name: whole(record, name) for name in ("src", "dst", "src_port", "dst_port")}
    control = str(record.get("congestion_control", "?"))
    return {**ends, "congestion_control": control, "mss": whole(record, "mss", 0)}


def _samples(record: Mapping[str, Any]) -> list[tuple[float, ...]]:
    """(id, then the fields of FlowSample but the time) of every flow in a line. Raises Malformed."""
    listed = record.get("flows", [])
    if not isinstance(listed, list):
        raise Malformed("flows is not a list")
    return [_sample(values) for values in listed]


def _sample(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) < _COLUMNS or not are_counts(values):
        raise Malformed(f"flows has {quoted(values)}, not {_COLUMNS} counts")
    key, cwnd, rtt, retransmits, rate, acked, busy, held = values[:_COLUMNS]
    return key, cwnd, rtt * _US, retransmits, rate * 8.0, acked, busy * _US, held * _US
