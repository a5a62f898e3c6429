"""Writes a timeline in the format that its file's name says, and counts what it writes."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final

from harness.errors import InputError, UnavailableError
from harness.experiment.trace.chrome import chrome_json
from harness.experiment.trace.events import Event, Instant, Track
from harness.experiment.trace.network import CHANGED
from harness.experiment.trace.ranks import COLLECTIVES, STEPS
from harness.experiment.trace.timeline import EVENTS, Timeline
from harness.installed import remedy

ENDINGS: Final = (".json", ".json.gz", ".pftrace", ".pftrace.gz")
_TOGETHER: Final = 1000
"""Pieces of a file that are written at once."""
_OFTEN: Final = 50_000
"""Events between two reports of progress."""


def ending(out: Path) -> str:
    """The ending of a name that says the format. Raises InputError for another one, UnavailableError."""
    found = next((one for one in ENDINGS if out.name.lower().endswith(one)), None)
    if found is None:
        raise InputError(f"-o {out}: give a name that ends in {', '.join(ENDINGS)}, or - for standard output")
    if found.startswith(".pftrace") and importlib.util.find_spec("perfetto") is None:
        how = remedy("run 'make setup'", "pip install 'tc-harness[perfetto]'")
        raise UnavailableError(
            f"{found} needs the package perfetto, which this Python lacks: {how}; .json needs nothing"
        )
    return found


def write_trace(timeline: Timeline, file: IO[bytes], kind: str, tell: Callable[[str], None]) -> dict[str, int]:
    """Write a timeline; returns what it has, for programs.

    Args:
        timeline: of a run.
        file: takes it.
        kind: one of ENDINGS.
        tell: gets what has been done so far, in words.
    """
    counts = _Counts()
    events = counts.of(timeline.events(), tell)
    if kind.endswith(".gz"):
        # The time of day stays out: the same records make the same file.
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
            packed.writelines(_large(_pieces(timeline, events, kind)))
    else:
        file.writelines(_large(_pieces(timeline, events, kind)))
    return counts.summary()


def _pieces(timeline: Timeline, events: Iterator[Event], kind: str) -> Iterator[bytes]:
    if kind.startswith(".json"):
        return (piece.encode() for piece in chrome_json(timeline, events))
    from harness.experiment.trace.protobuf import perfetto_packets

    return perfetto_packets(timeline.zero, events)


def _large(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Many pieces as one: files take a few large ones faster."""
    while several := b"".join(islice(pieces, _TOGETHER)):
        yield several


class _Counts:
    """Counts events as they are written."""

    def __init__(self) -> None:
        self._events, self._steps, self._collectives, self._changes = 0, 0, 0, 0
        self._tracks: set[Track] = set()

    def of(self, events: Iterator[Event], tell: Callable[[str], None]) -> Iterator[Event]:
        """The same events; says every now and then how many there were."""
        for event in events:
            self._events += 1
            self._tracks.add(event.track)
            self._steps += event.track.name == STEPS
            self._collectives += event.track.name.endswith(COLLECTIVES)
            self._changes += isinstance(event, Instant) and event.track == EVENTS and event.name.startswith(CHANGED)
            if self._events % _OFTEN == 0:
                tell(f"writing: {self._events:,} events")
            yield event

    def summary(self) -> dict[str, int]:
        """What was written."""
        return {
            "events": self._events,
            "tracks": len(self._tracks),
            "steps": self._steps,
            "collectives": self._collectives,
            "changes": self._changes,
        }
