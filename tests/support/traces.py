"""Reads the files that `harness trace` writes, each format by what it means to Perfetto."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from harness.experiment.report.load.records import RecordedRun


@dataclass
class Read:
    """A file's contents; times are seconds since the timeline begins.

    Args:
        slices: (process, track, name, start, seconds, args); those that are in another one too.
        counters: by process and name with its unit, (time, value).
        instants: (process, track, name, time, args).
        order: the processes, as they are shown.
    """

    slices: list[tuple] = field(default_factory=list)
    counters: dict[tuple, list] = field(default_factory=lambda: defaultdict(list))
    instants: list[tuple] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def within(self, process: str, track: str) -> list[tuple]:
        """The slices of a track."""
        return [one for one in self.slices if one[:2] == (process, track)]


def read_trace(path: Path) -> Read:
    """Read a file of either format, packed or not."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return _read_protobuf(data) if ".pftrace" in path.suffixes else _read_json(data)


def area(values: list[tuple[float, float]]) -> float:
    """Of a counter, to its last value."""
    return sum(value * (until - since) for (since, value), (until, _) in pairwise(values))


def check_sums(read: Read, run: RecordedRun) -> None:
    """Hold a trace against the records that the report is made of: time, collectives, bytes per edge, changes."""
    for rank in run.ranks:
        process = f"rank {rank.rank}"
        mine = read.within(process, "steps")
        steps = [one for one in mine if one[2].startswith("step ")]
        assert len(steps) == len(rank.steps)
        least = 2e-6 * len(steps)  # two roundings of each
        assert sum(one[4] for one in steps) == pytest.approx(sum(one.seconds for one in rank.steps), abs=least)
        for name, field_ in (("compute", "seconds_compute"), ("wait", "seconds_comm")):
            recorded = sum(getattr(one, field_) for one in rank.steps)
            assert sum(one[4] for one in mine if one[2] == name) == pytest.approx(recorded, abs=2 * least)
        timed, known = read.within(process, "collectives"), [one for one in rank.timed if one.seconds is not None]
        assert len(timed) == len(known)
        untimed = [one for one in read.instants if one[:2] == (process, "untimed collectives")]
        assert len(untimed) == len(rank.timed) - len(known)
        assert sum(one[5]["bytes"] for one in timed) == sum(one.bytes for one in known)
    attempts = [[one for one in run.links if one.attempt == n] for n in {one.attempt for one in run.links}]
    for src, dst in {edge for one in run.links for edge in one.edges}:
        counts = [[one.edges[src, dst].sent_bytes for one in of if (src, dst) in one.edges] for of in attempts]
        carried = sum(of[-1] - of[0] for of in counts if of)
        rate = read.counters["links", f"{src}→{dst} rate Mbit/s"]
        assert rate[-1][1] == 0
        assert area(rate) * 1e6 / 8 == pytest.approx(carried, rel=1e-4, abs=100)
    assert len([one for one in read.instants if one[2].startswith("link ")]) == len(run.changes)


def _read_json(data: bytes) -> Read:
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    found, processes, threads, sorting, begun = Read(), {}, {}, {}, {}
    for event in json.loads(data, parse_constant=refuse)["traceEvents"]:
        kind, pid, args = event["ph"], event["pid"], event.get("args", {})
        assert isinstance(event.get("ts", 0), int)
        if kind == "M":
            if event["name"] == "process_name":
                processes[pid] = args["name"]
            elif event["name"] == "thread_name":
                assert (pid, event["tid"]) not in threads
                threads[pid, event["tid"]] = args["name"]
            else:
                sorting[pid] = args["sort_index"]
            continue
        process, track, at = processes[pid], threads.get((pid, event["tid"])), event["ts"] / 1e6
        if kind == "X":
            found.slices.append((process, track, event["name"], at, event["dur"] / 1e6, args))
        elif kind == "b":
            begun[pid, event["cat"], event["id2"]["local"]] = (process, track, event["name"], at, args)
        elif kind == "e":
            process, track, name, start, args = begun.pop((pid, event["cat"], event["id2"]["local"]))
            found.slices.append((process, track, name, start, at - start, args))
        elif kind == "C":
            ((unit, value),) = args.items()
            found.counters[process, f"{event['name']} {unit}"].append((at, value))
        else:
            assert (kind, event["s"]) == ("i", "t")
            found.instants.append((process, track, event["name"], at, args))
    assert not begun, "a slice that never ends"
    found.order = [processes[pid] for pid in sorted(processes, key=sorting.__getitem__)]
    return found


def _read_protobuf(data: bytes) -> Read:
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

    found, described, open_ = Read(), {}, defaultdict(list)
    packets = list(Trace.FromString(data).packet)
    for packet in packets:
        if packet.HasField("track_descriptor"):
            described[packet.track_descriptor.uuid] = packet.track_descriptor
    order = [one for one in described.values() if one.HasField("process")]
    found.order = [one.process.process_name for one in sorted(order, key=lambda one: one.process.legacy_sort_index)]
    events = [packet for packet in packets if packet.HasField("track_event")]
    for packet in sorted(events, key=lambda packet: packet.timestamp):  # as Perfetto does: stable
        event, at = packet.track_event, packet.timestamp / 1e9
        track = described[event.track_uuid]
        process, name = described[track.parent_uuid].process.process_name, track.name or track.thread.thread_name
        args = {one.name: getattr(one, one.WhichOneof("value")) for one in event.debug_annotations}
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            open_[event.track_uuid].append((process, name, event.name, at, args))
        elif event.type == TrackEvent.TYPE_SLICE_END:
            process, name, slice_, start, args = open_[event.track_uuid].pop()
            found.slices.append((process, name, slice_, start, at - start, args))
        elif event.type == TrackEvent.TYPE_COUNTER:
            unit = track.counter.unit_name or "value"
            found.counters[process, f"{track.name} {unit}"].append((at, event.double_counter_value))
        else:
            assert event.type == TrackEvent.TYPE_INSTANT
            found.instants.append((process, name, event.name, at, args))
    assert not any(open_.values()), "a slice that never ends"
    return found
