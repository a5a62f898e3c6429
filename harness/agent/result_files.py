"""Which files of a run's folder travel to rank 0, and under which names; see results.py."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

MOST_BYTES: Final = 1 << 30
"""Of one rank's files, in all."""
LONGEST_NAME: Final = 1 << 11
"""In bytes."""
_DEPTH: Final = 16


@dataclass(frozen=True)
class ResultFile:
    """A file of a run.

    Args:
        name: its path within the run's folder, with slashes.
        size: in bytes.
    """

    name: str
    size: int


def safe_name(name: object) -> PurePosixPath | None:
    """Where in a run's folder a file of that name goes; None for a name that could lead out of it, or hides."""
    if not isinstance(name, str) or len(name.encode(errors="replace")) > LONGEST_NAME or not name.isprintable():
        return None
    parts = name.split("/")
    if len(parts) > _DEPTH or any(not part or part.startswith(".") or "\\" in part for part in parts):
        return None
    return PurePosixPath(name)


def chosen(files: Sequence[ResultFile], most: int = MOST_BYTES) -> tuple[list[ResultFile], list[ResultFile]]:
    """Those that are sent, the smallest first, and those that would be more than the most bytes in all."""
    sent: list[ResultFile] = []
    left_out: list[ResultFile] = []
    total = 0
    for file in sorted(files, key=lambda file: (file.size, file.name)):
        total += file.size
        (sent if total <= most else left_out).append(file)
    return sent, left_out


def result_files(folder: Path) -> tuple[list[ResultFile], list[str]]:
    """The files there are, and those under names that are not taken; no links, and nothing hidden."""
    found, others = [], []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(root, name) for name in names):
            name = path.relative_to(folder).as_posix()
            with contextlib.suppress(OSError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and not path.name.startswith("."):
                    found.append(ResultFile(name, status.st_size)) if safe_name(name) else others.append(ascii(name))
    return found, others
