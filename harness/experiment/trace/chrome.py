"""The timeline as JSON in Chrome's trace event format, which Perfetto and chrome://tracing read.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (Trace Event Format).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from harness.experiment.trace.events import Event, Instant, Slice, Track, Value
from harness.experiment.trace.timeline import Timeline

_TRACKS: Final = 1000
"""Thread numbers of each process; its counters belong to the thread with the process's number."""
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False)
"""Letters as they are: Perfetto (v52) shows the names of counters with their escapes."""


def chrome_json(timeline: Timeline, events: Iterable[Event]) -> Iterator[str]:
    """The pieces of the file, one per event; times are whole microseconds since the timeline's zero."""
    run = timeline.run
    about = {"run": run.slug, "profile": run.profile, "topology": run.topology, "label": run.label}
    yield f'{{"displayTimeUnit":"ms","otherData":{_ENCODER.encode({**about, "began": timeline.zero})},"traceEvents":['
    separator = "\n"
    for line in _TraceLines(timeline.zero).of(events):
        yield separator + line
        separator = ",\n"
    yield "\n]}\n"


class _TraceLines:
    def __init__(self, zero: float) -> None:
        self._zero = zero
        self._processes: dict[str, int] = {}
        self._at: dict[Track, dict[str, int]] = {}
        self._counters: dict[Track, str] = {}
        self._overlapping = 0

    def of(self, events: Iterable[Event]) -> Iterator[str]:
        """The events, each process and track named before its first one."""
        for event in events:
            if event.track not in self._at:
                yield from map(_ENCODER.encode, self._named(event.track))
            if isinstance(event, Value):
                yield f'{self._counters[event.track]}{event.value}}},"ts":{self._us(event.time)}}}'
            elif isinstance(event, Instant):
                about = {"ph": "i", "s": "t", **self._at[event.track], "ts": self._us(event.time)}
                yield _ENCODER.encode({**about, "name": event.name, "args": event.args})
            else:
                yield from map(_ENCODER.encode, self._slice(event, self._at[event.track]))

    def _named(self, track: Track) -> Iterator[Mapping[str, Any]]:
        if track.process not in self._processes:
            pid = self._processes[track.process] = len(self._processes) + 1
            yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": track.process}}
            yield {"ph": "M", "pid": pid, "name": "process_sort_index", "args": {"sort_index": pid}}
        pid = self._processes[track.process]
        at = self._at[track] = {"pid": pid, "tid": pid}
        if track.unit is None:
            at["tid"] = pid * _TRACKS + sum(one.process == track.process and one.unit is None for one in self._at)
            yield {"ph": "M", **at, "name": "thread_name", "args": {"name": track.name}}
            return
        # Perfetto calls the track by the event's name and the argument's. Most of a file is counters: made once.
        start = _ENCODER.encode({"ph": "C", **at, "name": track.name, "args": {track.unit or "value": 0}})
        self._counters[track] = start.removesuffix("0}}")

    def _slice(self, event: Slice, at: Mapping[str, int]) -> Iterator[Mapping[str, Any]]:
        start, end = self._us(event.start), self._us(event.end)
        if event.track.overlaps:
            self._overlapping += 1
            id2 = {"local": f"{self._overlapping:#x}"}  # an "id" would be one of all processes
            of_both = {"cat": event.track.name, "id2": id2, **at, "name": event.name}
            yield {"ph": "b", **of_both, "ts": start, "args": event.args}
            yield {"ph": "e", **of_both, "ts": end}
            return
        yield {"ph": "X", **at, "ts": start, "dur": end - start, "name": event.name, "args": event.args}
        for name, since, until in event.parts():
            yield {"ph": "X", **at, "ts": self._us(since), "dur": self._us(until) - self._us(since), "name": name}

    def _us(self, time: float) -> int:
        return round((time - self._zero) * 1e6)
