"""Finds a scenario by the name of one that ships, or by the path of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.errors import InputError, quoted
from harness.model.profile_file import is_profile_path, shipped_directory
from harness.model.suggest import suggest

NONE: Final = "none"
"""The name of no scenario in experiments."""


def shipped_scenarios() -> dict[str, Path]:
    """The scenarios in the package, by name. Raises ProfileError where they are missing."""
    return {path.stem: path for path in sorted((shipped_directory() / "scenarios").glob("*.yaml"))}


def scenario_path(text: str, folder: Path = Path()) -> Path:
    """The file of a scenario.

    Args:
        text: a path where it has a slash or ends with .yaml or .yml; otherwise the name of a scenario that ships (`-`
            and `_` are alike), or else of a file.
        folder: to which a path is relative.

    Raises:
        InputError: there is no such scenario and no such file.
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
