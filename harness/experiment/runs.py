"""The folder of an experiment: creates, reads and locks it, and finds the runs that are left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import InputError, NetworkStateError, quoted
from harness.experiment.recorded import TO_DO
from harness.experiment.spec import Experiment, Run
from harness.experiment.spec_file import load_experiment
from harness.run_files import RunFolder, read_json, write_json

_VERSION: Final = 1
_ENDED: Final = ("finished", "limit")
"""Statuses of runs that --resume does not repeat."""
_MAY_DIFFER: Final = ("name",)
"""Options that may differ in a later attempt: no measurement depends on them."""


def new_folder(
    root: Path, experiment: Experiment, source: Path, options: Mapping[str, Any], now: time.struct_time
) -> Path:
    """Create the folder of an experiment. Raises InputError where it exists or cannot be created, HarnessError.

    Args:
        root: ``runs``.
        experiment: to be written into it.
        source: the experiment's file, which is copied.
        options: of the command by name, defaults included: runtime, engine and so on.
        now: for the folder's name.
    """
    name = f"{experiment.name}-{time.strftime('%Y%m%d-%H%M%S', now)}"
    folder = root / name
    described = {
        "version": _VERSION,
        "id": name,
        "name": experiment.name,
        "created": time.time(),
        "source": str(source.absolute()),
        "spec": experiment.to_json(),
        "runs": [run.slug for run in experiment.runs()],
        "home": dict(options),
    }
    try:
        folder.mkdir(parents=True)
        _copy(source, folder / "experiment.yaml")
        write_json(folder / "experiment.json", described)
    except FileExistsError:
        raise InputError(f"{folder} exists already; continue it with --resume {folder}") from None
    except OSError as problem:
        raise InputError(f"{folder} cannot be made: {problem.strerror}; name another folder with --runs") from None
    return folder


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its permissions: it may have secrets."""
    mode = source.stat().st_mode & 0o777
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(source.read_bytes())


def described_folder(folder: Path) -> dict[str, Any]:
    """The experiment.json of a folder. Raises InputError."""
    described = read_json(folder / "experiment.json")
    if described is None:
        raise InputError(f"{folder} has no experiment.json; 'harness experiment list' shows where one is")
    return described


def load_folder(
    folder: Path, options: Mapping[str, Any], given: Collection[str] = ()
) -> tuple[Experiment, dict[str, Any]]:
    """Read the experiment of a folder, and the options with which it was started.

    Args:
        folder: of the experiment.
        options: of this command; the folder's own options replace them.
        given: names of options that the user wrote. All runs must have the same options to be comparable, so one that
            differs from the folder's is refused, except the network's name.

    Raises:
        InputError: this is no experiment's folder, or it cannot be continued with these options.
    """
    described = described_folder(folder)
    restart = f"start again from {described.get('source') or folder / 'experiment.yaml'}"
    if described.get("version") != _VERSION:
        raise InputError(f"{folder} was made by another version of harness; {restart}")
    try:
        recorded = _known(dict(described["home"]), options)
        own = described["spec"].get("command")
        experiment = None if own else Experiment.from_json(described["spec"])
    except (LookupError, TypeError, ValueError, AttributeError, InputError) as problem:
        raise InputError(f"{folder}/experiment.json cannot be read ({quoted(problem)}); {restart}") from None
    experiment = experiment or _of_command(folder, described)
    named = {name: options[name] for name in given}
    if wrong := [name for name in named if name not in _MAY_DIFFER and named[name] != recorded.get(name, named[name])]:
        before = " ".join(_option(name, recorded[name]) for name in wrong)
        leave_out = ", ".join(f"--{name}" for name in wrong)
        raise InputError(f"{folder} was started {before}, and must be continued so; leave out {leave_out}")
    return experiment, {**options, **recorded, **{name: named[name] for name in _MAY_DIFFER if name in named}}


def _of_command(folder: Path, described: Mapping[str, Any]) -> Experiment:
    """The experiment of a command, from the copy of its file, which alone has the command's environment.

    Raises:
        InputError: the copy cannot be read, or has other runs now.
    """
    copy = folder / "experiment.yaml"
    root = Path(str(described.get("source"))).parent
    experiment = load_experiment(copy, root=root, name=str(described.get("name")))
    if [run.slug for run in experiment.runs()] != described.get("runs"):
        raise InputError(f"{copy} was changed since, and has other runs: start it as a new experiment")
    return experiment


def _known(recorded: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded options that this version has. Raises TypeError for a value of another type."""
    found = {name: value for name, value in recorded.items() if name in options}
    for name, value in found.items():
        of = value if isinstance(value, list) else [] if value is None else [value]
        if isinstance(value, list) != isinstance(options[name], list) or not all(isinstance(one, str) for one in of):
            raise TypeError(f"home: {name}: {quoted(value)}")
    return found


def _option(name: str, value: Any) -> str:
    """As a user writes it: ``with --engine netem``."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    return f"with {' '.join(f'--{name} {one}' for one in values)}" if values else f"without --{name}"


@dataclass(frozen=True)
class ExperimentRuns:
    """The runs in the folder of an experiment."""

    experiment: Experiment
    folder: Path

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the experiment's lock. Raises NetworkStateError where another command holds it, InputError."""
        path = self.folder / ".lock"
        try:
            lock = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as problem:
            raise InputError(f"{path} cannot be written: {problem.strerror}") from None
        with os.fdopen(lock, "w"):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NetworkStateError(f"another command is working on {self.folder}; wait for it") from None
            yield

    def todo(self) -> list[Run]:
        """The runs that --resume does not skip, in the experiment's order."""
        return [run for run, status in self.statuses() if status not in _ENDED]

    def statuses(self) -> Iterator[tuple[Run, str]]:
        """Every run with its status, ``to do`` where it has not ended."""
        for run in self.experiment.runs():
            ending = RunFolder(self.folder / run.slug).ending or {}
            yield run, str(ending.get("status", TO_DO))
