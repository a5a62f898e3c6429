"""The actor to which tasks report their progress, and from which they learn to stop; it ends with its driver."""

from __future__ import annotations

from typing import Any


class Board:
    """Holds reports until the driver reads them. It is pickled by value, so it may import the standard library only."""

    def __init__(self) -> None:
        self._events: list[tuple[str, str, Any]] = []
        self._progress: dict[str, Any] = {}
        self._stop: int | None = None

    def say(self, slug: str, kind: str, what: Any) -> int | None:
        """Take a report; returns the number of the signal with which the task is to stop, or None.

        Args:
            slug: of the task's run.
            kind: begin, note or progress, of which only the latest is kept.
            what: the machine's id, a text, or a RunProgress.
        """
        if kind == "progress":
            self._progress[slug] = what
        else:
            self._events.append((slug, kind, what))
        return self._stop

    def read(self) -> list[tuple[str, str, Any]]:
        """The reports since the last call."""
        events = [*self._events, *((slug, "progress", what) for slug, what in self._progress.items() if what)]
        self._events, self._progress = [], {}
        return events

    def stop(self, number: int) -> None:
        """Make all tasks stop, as by this signal."""
        self._stop = number
