"""An experiment's runs, one after the other; those that have ended are not done again."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import InputError, NetworkStateError
from harness.experiment.spec import Experiment, Run
from harness.run_folder import RunFolder, read_json, write_json

_VERSION: Final = 1
_ENDED: Final = ("finished", "limit")
"""What needs not be done again; a run that failed is."""


def new_folder(
    root: Path, experiment: Experiment, source: Path, home: Mapping[str, str], now: time.struct_time
) -> Path:
    """Make the folder of an experiment. Raises InputError where it is there already or cannot be made, HarnessError.

    Args:
        root: ``runs``.
        experiment: what it is.
        source: its file, of which a copy is kept.
        home: where its runs are to be: options by name.
        now: for the folder's name.
    """
    name = f"{experiment.name}-{time.strftime('%Y%m%d-%H%M%S', now)}"
    folder = root / name
    described = {
        "version": _VERSION,
        "id": name,
        "name": experiment.name,
        "created": time.time(),
        "spec": experiment.to_json(),
        "runs": [run.slug for run in experiment.runs()],
        "home": dict(home),
    }
    try:
        folder.mkdir(parents=True)
        (folder / "experiment.yaml").write_bytes(source.read_bytes())
        write_json(folder / "experiment.json", described)
    except FileExistsError:
        raise InputError(f"{folder} is there already; go on with it by --resume {folder}") from None
    except OSError as problem:
        raise InputError(f"{folder} cannot be made: {problem.strerror}; name a folder of yours by --runs") from None
    return folder


def load_folder(folder: Path, home: Mapping[str, str]) -> Experiment:
    """The experiment of a folder. Raises InputError.

    Args:
        folder: of the experiment.
        home: where runs are to be now: half of them elsewhere could be compared with nothing.
    """
    described = read_json(folder / "experiment.json")
    if described is None:
        raise InputError(f"{folder} is no experiment's folder: it has no experiment.json; see 'ls runs'")
    if described.get("version") != _VERSION:
        raise InputError(f"{folder} was made by another version of harness; begin anew from {folder}/experiment.yaml")
    try:
        experiment, begun = Experiment.from_json(described["spec"]), dict(described["home"])
    except (LookupError, TypeError, ValueError, AttributeError, InputError) as problem:
        raise InputError(f"{folder}/experiment.json makes no sense ({problem!r}); begin anew") from None
    if differing := [f"--{name} {value}" for name, value in begun.items() if home.get(name) != value]:
        raise InputError(f"{folder} was begun with other options; add {' '.join(differing)}")
    return experiment


@dataclass(frozen=True)
class Campaign:
    """What there is to do in an experiment's folder.

    Args:
        experiment: what it is.
        folder: where its runs are.
    """

    experiment: Experiment
    folder: Path

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands from doing the same experiment meanwhile. Raises NetworkStateError, InputError."""
        path = self.folder / ".lock"
        try:
            file = path.open("w")
        except OSError as problem:
            raise InputError(f"{path} cannot be written: {problem.strerror}") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NetworkStateError(f"another command is at {self.folder} already; wait for it") from None
            yield

    def ending(self, run: Run) -> Mapping[str, Any] | None:
        """How a run has ended, or None."""
        return RunFolder(self.folder / run.slug).ending

    def done(self) -> list[Run]:
        """Runs whose results count."""
        return [run for run in self.experiment.runs() if (self.ending(run) or {}).get("status") in _ENDED]

    def todo(self) -> list[Run]:
        """The others, in order."""
        done = {run.slug for run in self.done()}
        return [run for run in self.experiment.runs() if run.slug not in done]

    def statuses(self) -> Iterator[tuple[Run, str]]:
        """Every run with how it has ended, ``to do`` where it has not."""
        for run in self.experiment.runs():
            yield run, str((self.ending(run) or {}).get("status", "to do"))


def failed(statuses: Sequence[tuple[Run, str]]) -> list[Run]:
    """Those of them that a rank's failure has ended."""
    return [run for run, status in statuses if status == "failed"]
