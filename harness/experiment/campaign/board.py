"""Where tasks say how far they are, and read whether to stop: an actor of the cluster, which ends with its driver."""

from __future__ import annotations

from typing import Any


class Board:
    """Holds the latest of each run until the driver reads it. It travels by value: only Python's own may be used."""

    def __init__(self) -> None:
        self._events: list[tuple[str, str, Any]] = []
        self._progress: dict[str, Any] = {}
        self._stop: int | None = None

    def say(self, slug: str, kind: str, what: Any) -> int | None:
        """Take what a task says; the number of the signal by which it is to stop, or None.

        Args:
            slug: of its run.
            kind: begin, note or progress, of which only the latest counts.
            what: the machine's id, a text, or a RunProgress.
        """
        if kind == "progress":
            self._progress[slug] = what
        else:
            self._events.append((slug, kind, what))
        return self._stop

    def read(self) -> list[tuple[str, str, Any]]:
        """What was said since it was read last."""
        events = [*self._events, *((slug, "progress", what) for slug, what in self._progress.items() if what)]
        self._events, self._progress = [], {}
        return events

    def stop(self, number: int) -> None:
        """Have all tasks stop, as by this signal."""
        self._stop = number
