"""What users write where a scenario is asked for: the path of its file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NONE: Final = "none"
"""What experiments call runs without a scenario."""


def scenario_path(text: str, folder: Path = Path()) -> Path:
    """The file that is meant.

    Args:
        text: as the user wrote it.
        folder: to which a path is relative.
    """
    return folder / text
