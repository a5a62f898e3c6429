"""Which networks are up: one JSON record per name under a state folder, and a lock per name.

The folder is $HARNESS_STATE_DIR, or /run/harness for root, or $XDG_RUNTIME_DIR/harness, or a folder of the user's own
below the system's temporary one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from harness.backends.registration import Registration
from harness.errors import HarnessError, InputError, NetworkStateError, RecordError
from harness.linux import host

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,55}")
"""So long that every Compose project can be named that starts: its shortest host name, NAME-node-1, has 63 at most."""
_LOCK_SECONDS: Final = 60.0
_SILENT_SECONDS: Final = 2.0


class LocalRegistry:
    """The state folder."""

    unread = (
        "the record of network {name!r} was damaged and is forgotten; should the network still run, end its process:"
        " pgrep -af harness/backends/netns/keeper.py"
    )

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _default_folder()

    @staticmethod
    def check_name(name: str) -> str:
        """The name, where it is a good one. Raises InputError."""
        if not _NAME.fullmatch(name):
            raise InputError(f"--name {name!r}: use up to 56 of a-z, 0-9, '_', '.' and '-', a letter or digit first")
        return name

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other commands from changing that network meanwhile. Raises NetworkStateError after a minute.

        Logs a warning after two seconds of waiting.

        The lock of a network that is not recorded at the end goes with it. Who waited for it holds a file that has no
        name by then, sees that, and takes the new one.
        """
        self._make_folder()
        path = self._folder / f"{self.check_name(name)}.lock"
        began, told = time.monotonic(), False
        while True:
            with open(path, "w") as file:
                if not _taken(file, path):
                    waited = time.monotonic() - began
                    if waited > _LOCK_SECONDS:
                        raise NetworkStateError(f"network {name!r} is being changed by another command")
                    if waited > _SILENT_SECONDS and not told:
                        told = True
                        _say(f"network {name!r} is being changed by another command: waiting up to {_LOCK_SECONDS:g} s")
                    time.sleep(0.01)
                    continue
                try:
                    yield
                finally:
                    if not self._path(name).exists():
                        path.unlink(missing_ok=True)
                return

    def names(self) -> list[str]:
        """Every recorded name, whether its network still lives or not. Raises NetworkStateError."""
        self._check_owner()
        return sorted(path.stem for path in self._folder.glob("*.json") if _NAME.fullmatch(path.stem))

    def load(self, name: str) -> Registration | None:
        """A record, or None. Raises RecordError where it is damaged, NetworkStateError where it may not be believed."""
        path = self._path(name)
        self._check_owner()
        try:
            return Registration(**json.loads(path.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, OSError, RecursionError) as problem:
            raise RecordError(f"{path} is damaged ({problem}); remove it with 'harness down --name {name}'") from None

    def save(self, record: Registration) -> None:
        """Write a record; a reader sees the old one or the new one, never half of it. Raises HarnessError."""
        path = self._path(record.name)
        self._make_folder()
        try:
            with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
                try:
                    file.write(json.dumps(vars(record)))  # dumps, unlike dump, encodes in C
                    file.flush()
                    os.replace(file.name, path)
                except BaseException:
                    os.unlink(file.name)
                    raise
        except OSError as problem:
            problem.filename = None  # the temporary file's
            raise HarnessError(f"{path} cannot be written: {host.explain(problem)}") from None

    def remove(self, name: str) -> None:
        """Forget a network."""
        self._path(name).unlink(missing_ok=True)
        self._recording(name).unlink(missing_ok=True)

    def sweep(self, is_gone: Callable[[Registration], bool]) -> None:
        """Forget networks that are gone, and locks of none. What another command holds now is left alone.

        Raises NetworkStateError where the folder is not ours.

        Args:
            is_gone: whether nothing is left of a recorded network.
        """
        self._check_owner()  # to open is to truncate, and what stands there may be a link to anywhere
        for name in {path.stem for ending in ("json", "lock") for path in self._folder.glob(f"*.{ending}")}:
            if not _NAME.fullmatch(name):
                continue
            path = self._folder / f"{name}.lock"
            with contextlib.suppress(HarnessError, OSError), open(path, "w") as file:
                if not _taken(file, path):
                    continue
                if (record := self.load(name)) and is_gone(record):
                    self.remove(name)
                if not self._path(name).exists():
                    path.unlink()

    def record_in(self, name: str, folder: Path | None, created: float = 0.0) -> None:
        """From now on, changes of that network are told in a file of this folder; None: nowhere. Raises HarnessError.

        To be called while the network is locked.

        Args:
            name: the network's.
            folder: of a run.
            created: the network's: a later one of that name, which a killed command did not know of, is another.
        """
        try:
            if folder is None:
                self._recording(name).unlink(missing_ok=True)
                return
            self._make_folder()
            self._recording(name).write_text(f"{created!r}\n{folder.absolute()}")
        except OSError as problem:
            raise HarnessError(f"{self._recording(name)} cannot be written: {host.explain(problem)}") from None

    def recording(self, name: str, created: float = 0.0) -> Path | None:
        """The folder in which changes of that network, which was created then, are told, or None."""
        self._check_owner()
        try:
            text = self._recording(name).read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None
        of, _, folder = text.partition("\n")
        return Path(folder) if folder and of == repr(created) else None

    def _recording(self, name: str) -> Path:
        return self._folder / f"{self.check_name(name)}.recording"

    def _make_folder(self) -> None:
        """Make the folder, for this user alone: what stands in it is believed. Raises NetworkStateError."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            raise NetworkStateError(
                f"{self._folder} cannot be made ({problem.strerror}); set HARNESS_STATE_DIR to a folder of yours"
            ) from None
        self._check_owner()

    def _check_owner(self) -> None:
        """Let nobody else tell us what is up. Raises NetworkStateError; a folder that is not there is fine."""
        try:
            found = self._folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as problem:
            raise NetworkStateError(
                f"{self._folder} cannot be read ({problem.strerror}); set HARNESS_STATE_DIR to a folder of yours"
            ) from None
        if found.st_uid != os.geteuid():
            raise NetworkStateError(
                f"{self._folder} belongs to another user; set HARNESS_STATE_DIR to a folder of yours"
            )

    def _path(self, name: str) -> Path:
        return self._folder / f"{self.check_name(name)}.json"


def _taken(file: IO[str], path: Path) -> bool:
    """Lock the open file, if nobody else does and it is still the one of that name."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _say(text: str) -> None:
    import logging  # here, for it takes a while and is seldom needed

    logging.getLogger(__name__).warning("harness: %s", text)  # on standard error, unless a program has set logging up


def _default_folder() -> Path:
    if chosen := os.environ.get("HARNESS_STATE_DIR"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/run/harness")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime, "harness")
    return Path(tempfile.gettempdir(), f"harness-{os.geteuid()}")
