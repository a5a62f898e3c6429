"""Where lines go: a file of a run, that a full disk makes wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from harness.errors import HarnessError
from harness.run_files import Lines

_MOST: Final = 1 << 20
"""Bytes that wait for room; where there is none for longer, the file ends there."""


class Journal:
    """Adds lines to a file. Where that fails, it says so once, keeps what it has, and tries again with the next lines.

    Args:
        path: of the file.
        say: called with why nothing is written, once.

    Raises:
        HarnessError: it cannot be opened.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._lines, self._say = Lines(path), say
        self._waiting = b""
        self._failed = self._full = False

    def add(self, lines: Sequence[str]) -> None:
        """Write lines, all or none of them now."""
        if not lines or self._full:
            return
        self._waiting += ("\n".join(lines) + "\n").encode()
        try:
            self._lines.write(self._waiting[:-1])
            self._waiting = b""
        except HarnessError as error:
            if not self._failed:
                self._say(f"{error}; the job goes on")
            self._failed, self._full = True, len(self._waiting) > _MOST

    def close(self) -> None:
        """Add no more."""
        self._lines.close()
