"""The file to which a job appends the number of each step that it has done, one a line: HARNESS_STEP_FILE."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JobSteps:
    """Where a job says how far it is.

    Args:
        path: of the file.
        of_ranks: the same, as ranks see it.
    """

    path: Path
    of_ranks: str


class StepFile:
    """How far the ranks are that write to one file.

    Args:
        path: of the file, which may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._rest = b""
        self.done = 0
        """The highest step of any rank so far."""

    def look(self) -> int:
        """Read what is new; the highest step. Lines that are no number, or of more than 18 digits, do not count."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                found = file.read()
        except OSError:
            return self.done
        self._read += len(found)
        *lines, self._rest = (self._rest + found).split(b"\n")
        self.done = max(
            [self.done, *(int(line) for line in lines if line.strip().isdigit() and len(line.strip()) <= 18)]
        )
        return self.done
