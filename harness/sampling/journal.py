"""Appends lines to a file of a run; keeps them in memory while the disk is full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from harness.errors import HarnessError
from harness.run_files import Lines

_MOST: Final = 1 << 20
"""Bytes that may wait in memory; beyond them, the journal writes no more."""


class Journal:
    """Appends lines to a file. Where that fails, it calls ``say`` once, and tries again with the next lines.

    Raises:
        HarnessError: the file cannot be opened.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._lines, self._say = Lines(path), say
        self._waiting = b""
        self._failed = self._full = False

    def add(self, lines: Sequence[str]) -> None:
        """Write lines, either all or none."""
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
        """Close the file."""
        self._lines.close()
