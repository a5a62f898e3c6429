"""The timeline in Perfetto's own format, with the classes of the package `perfetto` (an extra of that name).

The format: https://perfetto.dev/docs/reference/synthetic-track-event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackDescriptor, TrackEvent

from harness.experiment.trace.events import Arguments, Event, Instant, Slice, Track

_THREADS: Final = 1000
"""Where thread numbers begin, above those of processes."""
_SEQUENCE: Final = 1
"""The id of the only sequence of packets."""


def perfetto_packets(zero: float, events: Iterable[Event]) -> Iterator[bytes]:
    """The packets of the file; times are nanoseconds since `zero`, in seconds since the epoch."""
    writer = _Packets(zero)
    for event in events:
        yield from writer.of(event)


class _Packets:
    def __init__(self, zero: float) -> None:
        self._zero = zero
        self._processes: dict[str, int] = {}
        self._tracks: dict[Track, list[tuple[int, float]]] = {}
        """(id, end of the last slice) of each line of a track; a track has several lines where slices overlap."""
        self._ids = 0

    def of(self, event: Event) -> Iterator[bytes]:
        """The packets of an event, after those that name its process and track, if these are new."""
        if isinstance(event, Slice):
            free = event.start if event.track.overlaps else float("inf")
            yield from self._named(event.track, free)
            track = self._take(event.track, free, event.end)
            yield self._event(track, event.start, TrackEvent.TYPE_SLICE_BEGIN, event.name, event.args)
            for name, since, until in event.parts():
                yield self._event(track, since, TrackEvent.TYPE_SLICE_BEGIN, name)
                yield self._event(track, until, TrackEvent.TYPE_SLICE_END)
            yield self._event(track, event.end, TrackEvent.TYPE_SLICE_END)
            return
        yield from self._named(event.track, float("inf"))
        track = self._tracks[event.track][0][0]
        if isinstance(event, Instant):
            yield self._event(track, event.time, TrackEvent.TYPE_INSTANT, event.name, event.args)
        else:
            yield self._event(track, event.time, TrackEvent.TYPE_COUNTER, value=event.value)

    def _take(self, track: Track, free: float, end: float) -> int:
        """Occupy the first line of the track that is free at that time, until ``end``; returns its id."""
        lines = self._tracks[track]
        place = next(place for place, (_, until) in enumerate(lines) if until <= free)
        lines[place] = lines[place][0], end
        return lines[place][0]

    def _named(self, track: Track, free: float) -> Iterator[bytes]:
        """Add a line to a track that is new or has no free line; Perfetto shows lines of one name as one track."""
        if any(until <= free for _, until in self._tracks.get(track, ())):
            return
        if track.process not in self._processes:
            self._processes[track.process] = self._id()
            number = len(self._processes)
            process = {"pid": number, "process_name": track.process, "legacy_sort_index": number}
            yield self._described(uuid=self._processes[track.process], process=process)
        line = self._id()
        self._tracks.setdefault(track, []).append((line, -float("inf")))
        parent = self._processes[track.process]
        about: dict[str, Any] = {"name": track.name}
        if track.unit is not None:
            about["counter"] = {"unit_name": track.unit}
        elif not track.overlaps:  # what is busy of a thread is shown of its process, too
            pid = list(self._processes).index(track.process) + 1
            about = {"thread": {"pid": pid, "tid": _THREADS + line, "thread_name": track.name}}
        yield self._described(uuid=line, parent_uuid=parent, **about)

    def _id(self) -> int:
        self._ids += 1
        return self._ids

    def _described(self, **about: Any) -> bytes:
        trace = Trace()
        trace.packet.add(track_descriptor=TrackDescriptor(**about), trusted_packet_sequence_id=_SEQUENCE)
        return bytes(trace.SerializeToString())

    def _event(
        self,
        track: int,
        time: float,
        kind: int,
        name: str = "",
        args: Arguments | None = None,
        value: float | None = None,
    ) -> bytes:
        trace = Trace()
        packet = trace.packet.add(timestamp=round((time - self._zero) * 1e9), trusted_packet_sequence_id=_SEQUENCE)
        event = packet.track_event
        event.type, event.track_uuid = kind, track
        if name:
            event.name = name
        if value is not None:
            event.double_counter_value = value
        for key, argument in (args or {}).items():
            kinds = {int: "int_value", float: "double_value", str: "string_value"}
            event.debug_annotations.add(name=key, **{kinds[type(argument)]: argument})
        return bytes(trace.SerializeToString())
