"""Chooses the files of a run folder that are sent to rank 0; see results.py."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

MOST_BYTES: Final = 1 << 30
"""Of all files of one rank."""
LONGEST_NAME: Final = 1 << 11
"""Bytes."""
_DEPTH: Final = 16


@dataclass(frozen=True)
class ResultFile:
    """A file: its path in the run folder, with slashes, and its size in bytes."""

    name: str
    size: int


def safe_name(name: object) -> PurePosixPath | None:
    """The path in a run folder for this name; None if the name is hidden or could lead out of the folder."""
    if not isinstance(name, str) or len(name.encode(errors="replace")) > LONGEST_NAME or not name.isprintable():
        return None
    parts = name.split("/")
    if len(parts) > _DEPTH or any(not part or part.startswith(".") or "\\" in part for part in parts):
        return None
    return PurePosixPath(name)


def chosen(files: Sequence[ResultFile], most: int = MOST_BYTES) -> tuple[list[ResultFile], list[ResultFile]]:
    """The files to send, smallest first, and those left out because all would have more than ``most`` bytes."""
    sent: list[ResultFile] = []
    left_out: list[ResultFile] = []
    total = 0
    for file in sorted(files, key=lambda file: (file.size, file.name)):
        total += file.size
        (sent if total <= most else left_out).append(file)
    return sent, left_out


def result_files(folder: Path) -> tuple[list[ResultFile], list[str]]:
    """The regular files in a folder that are not hidden, and the names that ``safe_name`` refuses."""
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
