"""Which networks are up: one file per name under a state folder, and a file of locks.

The first line of a network's file is its registration in JSON; each further line is a change of its plan (see
Registration.amended). A partial line, left by a killed command, is ignored.
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
"""Up to 56 characters: then NAME-node-1, a Compose project's shortest host name, has up to 63, which is the limit."""
_LOCK_SECONDS: Final = 60.0
_SILENT_SECONDS: Final = 2.0
_CHANGES: Final = 1 << 16
"""Bytes of changes that a file may have whatever the size of its registration."""


class LocalRegistry:
    """The registry in a state folder. See Registry."""

    unread = (
        "the registration of network {name!r} was damaged and is removed; if the network still runs, end its process:"
        " pgrep -af harness/backends/netns/keeper.py"
    )

    def __init__(self, folder: Path | None = None) -> None:
        self._state = StateFolder(folder)
        self._folder = self._state.path
        self._known: dict[str, _Known] = {}
        """By name, files as they were last read or written."""

    @staticmethod
    def check_name(name: str) -> str:
        """The name. Raises InputError where it is not allowed."""
        if not _NAME.fullmatch(name):
            raise InputError(
                f"--name {quoted(name)}: use up to 56 of a-z, 0-9, '_', '.' and '-', a letter or digit first"
            )
        return name

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other commands from changing the network.

        Logs a warning after waiting for two seconds, and raises NetworkStateError after a minute.
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
        """Every registered name, whether the network is alive or not. Raises NetworkStateError."""
        self._state.check()
        return sorted(path.stem for path in self._folder.glob("*.json") if _NAME.fullmatch(path.stem))

    def load(self, name: str, known: Registration | None = None) -> Registration | None:
        """A registration, or None. Raises RecordError where it is damaged, NetworkStateError for an unsafe folder."""
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
            raise RecordError(
                f"the registration of network {name!r} is damaged, or of another version of harness: {path}: {problem};"
                f" remove it with 'harness down --name {name}'"
            ) from None

    def save(self, record: Registration) -> None:
        """Write a registration; a reader sees the old one or the new one. Raises HarnessError."""
        path = self._path(record.name)
        data = json.dumps(vars(record)).encode()  # dumps, unlike dump, encodes in C
        self._state.make()
        replace_file(path, data + b"\n")
        self._known[record.name] = _Known(_stamp(path.stat()), len(data), record)

    def amend(self, record: Registration, change: Mapping[str, Any]) -> None:
        """Add a line, or rewrite the file once changes outgrow the registration. See Registry. Raises HarnessError."""
        path, known = self._path(record.name), self._known.get(record.name)
        with Lines(path) as file:
            if known is not None and file.size < 2 * known.first_line + _CHANGES:
                file.write(json.dumps(change, separators=(",", ":")).encode())
                self._known[record.name] = _Known(_stamp(path.stat()), known.first_line, record)
                return
        self.save(record)

    def remove(self, name: str) -> None:
        """Remove all files of a network."""
        self._known.pop(name, None)
        self._path(name).unlink(missing_ok=True)
        self._recording(name).unlink(missing_ok=True)
        self.probe_counts(name).unlink(missing_ok=True)
        self.away(name).unlink(missing_ok=True)
        for path in (*self._folder.glob(f"{name}.*.traffic"), *self._folder.glob(f"{name}.*.steps")):
            if path.stem.removeprefix(f"{name}.").isdecimal():
                path.unlink(missing_ok=True)

    def load_folder(self) -> Path:
        """The folder for the files of cross traffic (harness/traffic). Raises NetworkStateError."""
        self._state.make()
        return self._folder

    def probe_counts(self, name: str) -> Path:
        """The file with what verify added to the counters of links; see probe_counts.py."""
        return self._folder / f"{self.check_name(name)}.probes"

    def away(self, name: str) -> Path:
        """The file that says which ranks are away from a job; see away.py."""
        return self._folder / f"{self.check_name(name)}.away"

    def make_steps(self, name: str) -> Path:
        """Make an empty step file (scenario/step_file.py) of this process; ``remove`` removes it.

        Raises NetworkStateError.
        """
        self._state.make()
        path = self._folder / f"{self.check_name(name)}.{os.getpid()}.steps"
        path.write_bytes(b"")
        return path

    def sweep(self, is_gone: Callable[[Registration], bool]) -> None:
        """Remove networks that are gone, except those that another command is changing now.

        Args:
            is_gone: whether nothing is left of a registered network.

        Raises:
            NetworkStateError: the folder is unsafe.
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
        """Record changes of a network in a run folder from now on. Call it while the network is locked.

        Args:
            name: the network's.
            folder: of a run; None: nowhere.
            created: when the network was created: a later network of the same name is not recorded there.

        Raises:
            HarnessError: the choice cannot be written.
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
        """The run folder in which changes of the network that was created then are recorded, or None."""
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
    """What is known of a network's file.

    Args:
        stamp: of its version.
        first_line: length of the first line in bytes.
        record: the registration.
    """

    stamp: tuple[int, ...]
    first_line: int
    record: Registration


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    """Differs between versions of a file."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_uid


def _decoded(data: bytes) -> Registration:
    """The registration in a file. Raises ValueError or TypeError where it is damaged."""
    first, *changes = data.split(b"\n")
    record = Registration(**json.loads(first))
    for line in changes:
        with contextlib.suppress(ValueError):  # a command was killed while it wrote the line
            if line:
                record = record.amended(json.loads(line))
    return record


def _say(text: str) -> None:
    import logging  # here, for it takes a while and is seldom needed

    logging.getLogger(__name__).warning("harness: %s", text)  # on standard error, unless a program has set logging up
