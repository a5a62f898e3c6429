"""Which networks are up: one file per name under a state folder, and a file of locks.

The first line of a network's file is its registration, in JSON; every further one a change of its plan (see
Registration.amended). What a killed command left of a line is passed over.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from harness.backends.registration import Registration
from harness.errors import HarnessError, InputError, NetworkStateError, RecordError, quoted
from harness.linux import host
from harness.networks.state_folder import StateFolder, lock_name, read_own
from harness.run_files import Lines, replace_file

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,55}")
"""So long that every Compose project can be named that starts: its shortest host name, NAME-node-1, has 63 at most."""
_LOCK_SECONDS: Final = 60.0
_SILENT_SECONDS: Final = 2.0
_CHANGES: Final = 1 << 16
"""Bytes of changes that a file has room for beside its record, whatever that has."""


class LocalRegistry:
    """The state folder."""

    unread = (
        "the record of network {name!r} was damaged and is removed; if the network still runs, end its process:"
        " pgrep -af harness/backends/netns/keeper.py"
    )

    def __init__(self, folder: Path | None = None) -> None:
        self._state = StateFolder(folder)
        self._folder = self._state.path
        self._known: dict[str, _Known] = {}
        """Files as they were when they were read or written last, by name."""

    @staticmethod
    def check_name(name: str) -> str:
        """The name, where it is a good one. Raises InputError."""
        if not _NAME.fullmatch(name):
            raise InputError(
                f"--name {quoted(name)}: use up to 56 of a-z, 0-9, '_', '.' and '-', a letter or digit first"
            )
        return name

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other commands from changing that network meanwhile. Raises NetworkStateError after a minute.

        Logs a warning after two seconds of waiting.
        """
        self.check_name(name)
        self._state.make()
        began, warned = time.monotonic(), False
        with self._state.locks() as locks:
            while not lock_name(locks, name):
                waited = time.monotonic() - began
                if waited > _LOCK_SECONDS:
                    raise NetworkStateError(f"network {name!r} is being changed by another command")
                if waited > _SILENT_SECONDS and not warned:
                    warned = True
                    _say(f"network {name!r} is being changed by another command: waiting up to {_LOCK_SECONDS:g} s")
                time.sleep(0.01)
            yield

    def names(self) -> list[str]:
        """Every recorded name, whether its network still lives or not. Raises NetworkStateError."""
        self._state.check()
        return sorted(path.stem for path in self._folder.glob("*.json") if _NAME.fullmatch(path.stem))

    def load(self, name: str, known: Registration | None = None) -> Registration | None:
        """A record, or None. Raises RecordError where it is damaged, NetworkStateError where it may not be believed."""
        path = self._path(name)
        self._state.check()
        try:
            stamp = _stamp(path.stat())
            if name not in self._known or self._known[name].stamp != stamp:
                data = read_own(path)
                self._known[name] = _Known(stamp, data.find(b"\n"), _decoded(data))
            return self._known[name].record
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, LookupError, OSError, RecursionError) as problem:
            raise RecordError(f"{path} is damaged ({problem}); remove it with 'harness down --name {name}'") from None

    def save(self, record: Registration) -> None:
        """Write a record; a reader sees the old one or the new one, never half of it. Raises HarnessError."""
        path = self._path(record.name)
        data = json.dumps(vars(record)).encode()  # dumps, unlike dump, encodes in C
        self._state.make()
        replace_file(path, data + b"\n")
        self._known[record.name] = _Known(_stamp(path.stat()), len(data), record)

    def amend(self, record: Registration, change: Mapping[str, Any]) -> None:
        """See Registry. Adds a line; where changes take more room than the record, writes that anew instead.

        Raises HarnessError.
        """
        path, known = self._path(record.name), self._known.get(record.name)
        with Lines(path) as file:
            if known is not None and file.size < 2 * known.first_line + _CHANGES:
                file.write(json.dumps(change, separators=(",", ":")).encode())
                self._known[record.name] = _Known(_stamp(path.stat()), known.first_line, record)
                return
        self.save(record)

    def remove(self, name: str) -> None:
        """Forget a network."""
        self._known.pop(name, None)
        self._path(name).unlink(missing_ok=True)
        self._recording(name).unlink(missing_ok=True)
        self.probe_counts(name).unlink(missing_ok=True)
        self.away(name).unlink(missing_ok=True)
        for path in (*self._folder.glob(f"{name}.*.traffic"), *self._folder.glob(f"{name}.*.steps")):
            if path.stem.removeprefix(f"{name}.").isdecimal():
                path.unlink(missing_ok=True)

    def load_folder(self) -> Path:
        """Where the files of networks' cross traffic are (harness/traffic). Raises NetworkStateError."""
        self._state.make()
        return self._folder

    def probe_counts(self, name: str) -> Path:
        """The file of what verify added to the counters of that network's links; see probe_counts.py."""
        return self._folder / f"{self.check_name(name)}.probes"

    def away(self, name: str) -> Path:
        """The file that says who is away from a job on that network; see away.py."""
        return self._folder / f"{self.check_name(name)}.away"

    def make_steps(self, name: str) -> Path:
        """An empty file, of this process, in which a job on that network says how far it is (scenario/step_file.py).

        It goes with the network, also where a killed command has left that. Raises NetworkStateError.
        """
        self._state.make()
        path = self._folder / f"{self.check_name(name)}.{os.getpid()}.steps"
        path.write_bytes(b"")
        return path

    def sweep(self, is_gone: Callable[[Registration], bool]) -> None:
        """Forget networks that are gone; those that another command is changing now are left alone.

        Args:
            is_gone: whether nothing is left of a recorded network.

        Raises:
            NetworkStateError: the folder is not ours.
        """
        names = self.names()
        if not names:
            return
        with self._state.locks() as locks:
            for name in names:
                with contextlib.suppress(HarnessError):
                    if lock_name(locks, name) and (record := self.load(name)) and is_gone(record):
                        self.remove(name)

    def record_in(self, name: str, folder: Path | None, created: float = 0.0) -> None:
        """From now on, record changes of that network in a file of this folder; None: nowhere. Raises HarnessError.

        To be called while the network is locked.

        Args:
            name: the network's.
            folder: of a run.
            created: the network's: a later one of that name, which a killed command did not know of, is another.
        """
        path = self._recording(name)
        if folder is not None:
            self._state.make()
            replace_file(path, os.fsencode(f"{created!r}\n{folder.absolute()}"))
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as problem:
            raise HarnessError(f"{path} cannot be removed: {host.explain(problem)}") from None

    def recording(self, name: str, created: float = 0.0) -> Path | None:
        """The folder in which changes of that network, which was created then, are recorded, or None."""
        self._state.check()
        try:
            text = os.fsdecode(read_own(self._recording(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        of, _, folder = text.partition("\n")
        return Path(folder) if folder and of == repr(created) else None

    def _recording(self, name: str) -> Path:
        return _file(self._folder, self.check_name(name), "recording")

    def _path(self, name: str) -> Path:
        return _file(self._folder, self.check_name(name), "json")


@lru_cache(64)
def _file(folder: Path, name: str, kind: str) -> Path:
    return folder / f"{name}.{kind}"


@dataclass(frozen=True)
class _Known:
    """A network's file.

    Args:
        stamp: of its version.
        first_line: bytes of that.
        record: what it says.
    """

    stamp: tuple[int, ...]
    first_line: int
    record: Registration


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    """Another one for every version of a file."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_uid


def _decoded(data: bytes) -> Registration:
    """What a file says. Raises ValueError, TypeError where it makes no sense."""
    first, *changes = data.split(b"\n")
    record = Registration(**json.loads(first))
    for line in changes:
        with contextlib.suppress(ValueError):  # of a command that was killed while it wrote
            if line:
                record = record.amended(json.loads(line))
    return record


def _say(text: str) -> None:
    import logging  # here, for it takes a while and is seldom needed

    logging.getLogger(__name__).warning("harness: %s", text)  # on standard error, unless a program has set logging up
