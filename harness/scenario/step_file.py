"""The step file, $HARNESS_STEP_FILE: a job appends the number of each step that it has done, one per line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.networks.registry import LocalRegistry


@dataclass(frozen=True)
class JobSteps:
    """The paths of a step file.

    Args:
        path: on this machine.
        of_ranks: in the nodes.
    """

    path: Path
    of_ranks: str


def make_local_steps(network: str) -> JobSteps:
    """Make an empty step file for a network that is up, and whose nodes see this machine's files."""
    path = LocalRegistry().make_steps(network)
    return JobSteps(path, str(path))


class StepFile:
    """Reads a step file.

    Args:
        path: of the file, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._rest = b""
        self.done = 0
        """The highest step of any rank so far."""

    def look(self) -> int:
        """Read new lines; the highest step so far. Lines that are not a number of up to 18 digits do not count."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                found = file.read()
        except OSError:
            return self.done
        self._read += len(found)
        *lines, self._rest = (self._rest + found).split(b"\n")
        numbers = [line.strip() for line in lines]
        self.done = max([self.done, *(int(one) for one in numbers if one.isdigit() and len(one) <= 18)])
        return self.done
