"""What users write where a scenario is asked for: the name of one that ships, or the path of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.errors import InputError, quoted
from harness.model.profile_file import is_profile_path, shipped_directory
from harness.model.suggest import suggest

NONE: Final = "none"
"""What experiments call runs without a scenario."""


def shipped_scenarios() -> dict[str, Path]:
    """The files that come with the package, by name. Raises ProfileError where they are missing."""
    return {path.stem: path for path in sorted((shipped_directory() / "scenarios").glob("*.yaml"))}


def scenario_path(text: str, folder: Path = Path()) -> Path:
    """The file that is meant: a path has a slash, or ends with .yaml or .yml; any other file is found unless its name
    is that of a scenario that ships (`-` and `_` alike).

    Args:
        text: as the user wrote it.
        folder: to which a path is relative.

    Raises:
        InputError: it is the name of no scenario and of no file.
    """
    path = folder / text
    if is_profile_path(text):
        return path
    shipped = shipped_scenarios()
    if (found := shipped.get(text.strip().lower().replace("_", "-"))) is not None:
        return found
    if not path.is_file():
        raise InputError(
            f"scenario {quoted(text)} is unknown; {suggest(text, shipped)} (a file of your own: ./NAME.yaml)"
        )
    return path
