"""An experiment's runs, one after the other; those that have ended are not done again."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import InputError, NetworkStateError
from harness.experiment.spec import Experiment, Run
from harness.run_files import RunFolder, read_json, write_json

_VERSION: Final = 1
_ENDED: Final = ("finished", "limit")
"""What needs not be done again; a run that failed is."""
_FREE: Final = ("name",)
"""What may be another one in a later attempt: nothing that is measured depends on it."""


def new_folder(
    root: Path, experiment: Experiment, source: Path, home: Mapping[str, Any], now: time.struct_time
) -> Path:
    """Make the folder of an experiment. Raises InputError where it is there already or cannot be made, HarnessError.

    Args:
        root: ``runs``.
        experiment: what it is.
        source: its file, of which a copy is kept.
        home: where its runs are to be: options of the command by name, those too that were not given.
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


def load_folder(
    folder: Path, home: Mapping[str, Any], given: Collection[str] = ()
) -> tuple[Experiment, dict[str, Any]]:
    """The experiment of a folder, and where its runs are to be: where it was begun, since half of them elsewhere could
    be compared with nothing.

    Args:
        folder: of the experiment.
        home: what the command's options are now, for those that the folder says nothing of.
        given: which of them the user has written: one that differs is refused, but for the network's name.

    Raises:
        InputError: it is no experiment's folder, or one that cannot be gone on with in that way.
    """
    described = read_json(folder / "experiment.json")
    if described is None:
        raise InputError(f"{folder} is no experiment's folder: it has no experiment.json; see 'ls runs'")
    anew = f"begin anew from {described.get('source') or folder / 'experiment.yaml'}"
    if described.get("version") != _VERSION:
        raise InputError(f"{folder} was made by another version of harness; {anew}")
    try:
        experiment, begun = Experiment.from_json(described["spec"]), _known(dict(described["home"]), home)
    except (LookupError, TypeError, ValueError, AttributeError, InputError) as problem:
        raise InputError(f"{folder}/experiment.json makes no sense ({problem!r}); {anew}") from None
    named = {name: home[name] for name in given}
    if wrong := [name for name in named if name not in _FREE and named[name] != begun.get(name, named[name])]:
        told = " ".join(_option(name, begun[name]) for name in wrong)
        raise InputError(f"{folder} was begun {told}, and goes on so; leave out {', '.join(f'--{n}' for n in wrong)}")
    return experiment, {**home, **begun, **{name: named[name] for name in _FREE if name in named}}


def _known(begun: dict[str, Any], home: Mapping[str, Any]) -> dict[str, Any]:
    """What is an option of ours. Raises TypeError for what cannot be its value."""
    found = {name: value for name, value in begun.items() if name in home}
    for name, value in found.items():
        of = value if isinstance(value, list) else [] if value is None else [value]
        if isinstance(value, list) != isinstance(home[name], list) or not all(isinstance(one, str) for one in of):
            raise TypeError(f"home: {name}: {value!r}")
    return found


def _option(name: str, value: Any) -> str:
    """As a user writes it."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    return f"with {' '.join(f'--{name} {one}' for one in values)}" if values else f"without --{name}"


@dataclass(frozen=True)
class ExperimentRuns:
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
