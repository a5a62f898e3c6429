"""The folder of a run outside any experiment: ``runs/<name>-<YYYYMMDD-HHMMSS>``."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

from harness.errors import InputError
from harness.run_files import RunFolder

_LONGEST_NAME: Final = 60


def folder_name(name: str) -> str:
    """The folder's name for a run of this script that begins now, with unsafe characters replaced by ``-``."""
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip(".-")[:_LONGEST_NAME]
    return f"{clean or 'run'}-{time.strftime('%Y%m%d-%H%M%S')}"


def new_run_folder(root: Path, name: str) -> RunFolder:
    """Make a new folder in ``root`` for a run of this script. Raises InputError."""
    first = root / folder_name(name)
    path, number = first, 1
    while True:
        try:
            path.mkdir(parents=True)
            return RunFolder(path)
        except FileExistsError as problem:
            if not path.is_dir():
                raise _refused(path, problem) from None
            number += 1
            path = first.with_name(f"{first.name}-{number}")
        except OSError as problem:
            raise _refused(path, problem) from None


def _refused(path: Path, problem: OSError) -> InputError:
    return InputError(f"{path} cannot be made: {problem.strerror}; record in another folder")
