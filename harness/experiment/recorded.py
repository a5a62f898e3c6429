"""Lists the experiments and single runs in ``runs/``, and how each ended."""

from __future__ import annotations

import contextlib
import fcntl
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from harness.errors import InputError
from harness.run_files import RunFolder, read_json

RUNS: Final = Path("runs")
LATEST: Final = "latest"
TO_DO: Final = "to do"
UNFINISHED: Final = "unfinished"
"""The status of a run without end.json: it was cut off, or is still running."""
_ENDINGS: Final = ("failed", "stopped", UNFINISHED, TO_DO)
"""Statuses of runs that decide the state of their experiment, the worst first."""


@dataclass(frozen=True)
class Recorded:
    """A folder with records.

    Args:
        folder: its path.
        kind: ``run`` is one run outside any experiment.
        created: seconds since the epoch.
        runs: how many runs have each status.
        running: whether a command works on the experiment now.
    """

    folder: Path
    kind: Literal["experiment", "run"]
    created: float
    runs: Mapping[str, int]
    running: bool = False

    @property
    def state(self) -> str:
        """running, else the worst status of its runs (failed, stopped, unfinished, to do), else finished."""
        return "running" if self.running else next((one for one in _ENDINGS if self.runs.get(one)), "finished")

    def to_json(self) -> dict[str, Any]:
        """As ``experiment list --json`` prints it."""
        return {
            "folder": str(self.folder),
            "kind": self.kind,
            "created": self.created,
            "state": self.state,
            "runs": dict(self.runs),
        }


def recorded(root: Path = RUNS) -> list[Recorded]:
    """The folders with records in ``root``, the newest first."""
    found = (_read(folder) for folder in root.iterdir() if folder.is_dir()) if root.is_dir() else iter(())
    return sorted(filter(None, found), key=lambda one: one.created, reverse=True)


def resolve(folder: Path | None) -> Path:
    """The folder that a user means: None, ``latest`` and ``ROOT/latest`` stand for the newest. Raises InputError."""
    if folder is not None and (folder.name != LATEST or folder.exists()):
        return folder
    root = RUNS if folder is None or folder == Path(LATEST) else folder.parent
    newest = next(iter(recorded(root)), None)
    if newest is None:
        raise InputError(f"there are no records in {root}/; 'harness experiment run FILE' makes some, or name a folder")
    return newest.folder


def _read(folder: Path) -> Recorded | None:
    path = folder / "experiment.json"
    about = read_json(path)
    if about is not None:
        listed = about.get("runs")
        slugs = [slug for slug in listed if isinstance(slug, str)] if isinstance(listed, list) else []
        statuses = Counter(_status(folder / slug) for slug in slugs)
        return Recorded(folder, "experiment", _time(about.get("created"), path), statuses, _locked(folder / ".lock"))
    run = folder / "run.json"
    facts = read_json(run)
    if facts is None:
        return None
    return Recorded(folder, "run", _time(facts.get("started"), run), Counter([_status(folder)]))


def _status(folder: Path) -> str:
    run = RunFolder(folder)
    ending = run.ending
    return str(ending.get("status", "?")) if ending else UNFINISHED if run.facts is not None else TO_DO


def _time(value: object, path: Path) -> float:
    return float(value) if isinstance(value, int | float) else path.stat().st_mtime


def _locked(path: Path) -> bool:
    """Whether a command holds an experiment's lock."""
    with contextlib.suppress(OSError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
