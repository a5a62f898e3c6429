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
    counts = dict.fromkeys(("events", "tracks", "steps", "collectives", "changes"), 0)
    pieces = _joined(_pieces(timeline, _counted(timeline.events(), counts, tell), kind))
    if kind.endswith(".gz"):
        # Without the time of day, the same records make the same file.
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
            packed.writelines(pieces)
    else:
        file.writelines(pieces)
    return counts


def _pieces(timeline: Timeline, events: Iterator[Event], kind: str) -> Iterator[bytes]:
    if kind.startswith(".json"):
        return (piece.encode() for piece in chrome_json(timeline, events))
    from harness.experiment.trace.protobuf import perfetto_packets

    return perfetto_packets(timeline.zero, events)


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Joins many pieces: a few large writes are faster."""
    while several := b"".join(islice(pieces, _TOGETHER)):
        yield several


def _counted(events: Iterator[Event], counts: dict[str, int], tell: Callable[[str], None]) -> Iterator[Event]:
    """The same events, which are counted; reports their number every now and then."""
    tracks: set[Track] = set()
    for event in events:
        tracks.add(event.track)
        counts["events"] += 1
        counts["tracks"] = len(tracks)
        counts["steps"] += event.track.name == STEPS
        counts["collectives"] += event.track.name.endswith(COLLECTIVES)
        counts["changes"] += isinstance(event, Instant) and event.track == EVENTS and event.name.startswith(CHANGED)
        if counts["events"] % _OFTEN == 0:
            tell(f"writing: {counts['events']:,} events")
        yield event
