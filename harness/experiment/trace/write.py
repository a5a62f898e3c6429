"""Writes a timeline in the format of its file's ending, and counts the events."""

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
"""Pieces of a file that are joined for one write."""
_OFTEN: Final = 50_000
"""Events between two reports of progress."""


def ending(out: Path) -> str:
    """The ending of a file's name, which says the format. Raises InputError, UnavailableError."""
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
    """Write a timeline; returns the number of events, tracks, steps, collectives and changes.

    ``kind``: one of ENDINGS; ``tell`` is called with the progress in words.
    """
    counts = _Counts()
    pieces = _joined(_pieces(timeline, counts.of(timeline.events(), tell), kind))
    if kind.endswith(".gz"):
        # Without the time of day, the same records make the same file.
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
            packed.writelines(pieces)
    else:
        file.writelines(pieces)
    return counts.summary()


def _pieces(timeline: Timeline, events: Iterator[Event], kind: str) -> Iterator[bytes]:
    if kind.startswith(".json"):
        return (piece.encode() for piece in chrome_json(timeline, events))
    from harness.experiment.trace.protobuf import perfetto_packets

    return perfetto_packets(timeline.zero, events)


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Joins many pieces: a few large writes are faster."""
    while several := b"".join(islice(pieces, _TOGETHER)):
        yield several


class _Counts:
    """Counts events as they are written."""

    def __init__(self) -> None:
        self._events, self._steps, self._collectives, self._changes = 0, 0, 0, 0
        self._tracks: set[Track] = set()

    def of(self, events: Iterator[Event], tell: Callable[[str], None]) -> Iterator[Event]:
        """The same events; reports their number every now and then."""
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
        """The counts by name."""
        return {
            "events": self._events,
            "tracks": len(self._tracks),
            "steps": self._steps,
            "collectives": self._collectives,
            "changes": self._changes,
        }
