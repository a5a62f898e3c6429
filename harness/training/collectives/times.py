"""Joins the calls of a rank with the profiler's spans, to know when each collective was complete. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.training.collectives.flight_recorder import CollectiveCall

_TIMED_BACKEND: Final = "gloo"
"""NCCL's collectives end on a GPU, but the profiler's CPU events of them end when they are queued."""
BETWEEN_TWO: Final = ("send", "recv", "recv_anysource", "recvAnySource")
"""Operations of gloo that the flight recorder does not have."""
_CLOCKS_DIFFER: Final = 1e-3
"""Seconds by which the profiler's and the recorder's times of one event may differ."""


@dataclass(frozen=True)
class Span:
    """A collective, by torch's profiler.

    Args:
        op: e.g. ``all_reduce``.
        start: when one of gloo's threads began with it, seconds since the epoch.
        end: when it was complete.
        elements: of its input tensors.
        bytes: of its input tensors.
    """

    op: str
    start: float
    end: float
    elements: int
    bytes: int


@dataclass(frozen=True)
class Timed:
    """A line of collectives-R.jsonl, without its step.

    Args:
        op: e.g. ``all_reduce``.
        start: when it was called, seconds since the epoch.
        seconds: until it was complete on this rank; None: not known.
        bytes: of its input tensors.
        ranks: size of the process group; 0: not known.
        group: the process group; empty: not known.
    """

    op: str
    start: float
    seconds: float | None
    bytes: int
    ranks: int
    group: str

    def line(self, step: int | None) -> dict[str, Any]:
        """The line."""
        seconds = None if self.seconds is None else round(self.seconds, 6)
        return {**vars(self), "start": round(self.start, 6), "seconds": seconds, "step": step}


def timed(calls: Sequence[CollectiveCall], spans: Iterable[Span], since: float, sizes: dict[str, int]) -> list[Timed]:
    """The collectives of an interval in which the profiler ran, by start.

    gloo begins with collectives in the order of the calls, so those of one kind and size are matched in order. The last
    calls may have no span: they were under way when the profiler was read. The first spans may have no call: the
    recorder has missed it.

    Args:
        calls: of the recorder.
        spans: of the profiler.
        since: when the profiler started; earlier calls have no span.
        sizes: of process groups, by torch's name.
    """
    of_kind: dict[tuple[str, int], list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda one: one.start):
        of_kind[span.op, span.elements].append(span)
    called: dict[tuple[str, int], list[CollectiveCall]] = defaultdict(list)
    for call in sorted(calls, key=lambda one: one.time):
        called[call.op, call.elements].append(call)
    found = []
    for kind, same in called.items():
        ends = _ends([call for call in same if call.time >= since - _CLOCKS_DIFFER], of_kind.pop(kind, []))
        found += [_timed(call, ends.get(call), sizes) for call in same]
    recorded = {call.op for call in calls}
    alone = (span for same in of_kind.values() for span in same if span.op in BETWEEN_TWO and span.op not in recorded)
    found += [Timed(span.op, span.start, span.end - span.start, span.bytes, 2, "") for span in alone]
    return sorted(found, key=lambda one: one.start)


def _ends(calls: Sequence[CollectiveCall], spans: Sequence[Span]) -> dict[CollectiveCall, float]:
    """The times at which calls of one kind were complete."""
    last = spans[max(0, len(spans) - len(calls)) :]
    return {
        call: span.end
        for call, span in zip(calls, last, strict=False)
        if call.backend == _TIMED_BACKEND and span.start >= call.time - _CLOCKS_DIFFER
    }


def _timed(call: CollectiveCall, end: float | None, sizes: dict[str, int]) -> Timed:
    seconds = None if end is None else max(0.0, end - call.time)
    return Timed(call.op, call.time, seconds, call.bytes, sizes.get(call.name, 0), call.group)
