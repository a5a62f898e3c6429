"""Finds the run that a user means: by its folder, or an experiment's folder with one run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.errors import InputError, quoted
from harness.experiment.recorded import LATEST, resolve
from harness.model.suggest import suggest

_NAMED: Final = 6
"""The most runs that a message names."""


def pick_run(folder: Path | None) -> Path:
    """The folder of the run that a user means.

    Args:
        folder: of a run or an experiment; ``latest`` and None: the newest; ``latest/SLUG``: a run of it.

    Raises:
        InputError: there is no run, or the experiment has several.
    """
    if folder is not None and folder.parent.name == LATEST and not folder.exists():
        folder = resolve(folder.parent) / folder.name
    folder = resolve(folder)
    if (folder / "run.json").is_file():
        return folder
    inside = _runs(folder)
    if len(inside) == 1:
        return folder / inside[0]
    if inside:
        more = f" and {len(inside) - _NAMED} more" if len(inside) > _NAMED else ""
        names = f"{', '.join(inside[:_NAMED])}{more}"
        raise InputError(f"{folder} has {len(inside)} runs, and a trace is of one: give {folder}/RUN; runs: {names}")
    if not folder.is_dir() and (beside := _runs(folder.parent)):
        raise InputError(f"{folder.parent} has no run {quoted(folder.name)}; {suggest(folder.name, beside[:_NAMED])}")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; 'harness experiment list' shows what there is")
    raise InputError(f"{folder} contains no run (no run.json): nothing was recorded there")


def _runs(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/run.json"))
