"""The state folder, in which networks are registered: its place, its permissions and its locks.

It is $HARNESS_STATE_DIR, or /run/harness for root, or $XDG_RUNTIME_DIR/harness, or a folder of this user in the
system's temporary folder. Commands trust its contents, so nobody else may write to it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.errors import NetworkStateError

_LOCK_BYTES: Final = 2**61 - 1
"""A prime near the largest offset in a file: each name of up to seven characters has its own byte."""
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class StateFolder:
    """The folder at ``path``."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _default()
        self._trusted: tuple[object, ...] = ()

    def make(self) -> None:
        """Make the folder for this user alone. Raises NetworkStateError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            raise NetworkStateError(
                f"{self.path} cannot be made ({problem.strerror}); set HARNESS_STATE_DIR to a folder of yours"
            ) from None
        self.check()

    def check(self) -> None:
        """Raise NetworkStateError where another user could write to the folder; it need not exist."""
        folder, remedy = self.path, "set HARNESS_STATE_DIR to a folder of yours"
        try:
            found = folder.stat()
            facts = found.st_dev, found.st_ino, found.st_mode, found.st_uid, os.geteuid()
            if facts == self._trusted:  # checked before, and no other user can replace it
                return
            folder = Path(os.path.realpath(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as problem:
            raise NetworkStateError(f"{folder} cannot be read ({problem.strerror}); {remedy}") from None
        if found.st_uid != os.geteuid():
            raise NetworkStateError(f"{folder} belongs to another user; {remedy}")
        if found.st_mode & _OTHERS_WRITE:
            raise NetworkStateError(
                f"other users may write to {folder} (mode {stat.S_IMODE(found.st_mode):04o}); if nobody did, run"
                f" 'chmod 700 {folder}', else {remedy}"
            )
        for parent in folder.parents:
            mode = parent.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise NetworkStateError(
                    f"other users may replace {folder}: {parent} has mode {stat.S_IMODE(mode):04o}; run"
                    f" 'chmod o-w {parent}', or {remedy}"
                )
        self._trusted = facts

    @contextlib.contextmanager
    def locks(self) -> Iterator[int]:
        """Open the lock file, in which each name has a byte, also beyond the file's end."""
        fd = os.open(f"{self.path}/locks", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)


def lock_name(locks: int, name: str) -> bool:
    """Try to lock a name's byte in the lock file; whether that succeeded. Closing the file releases all its locks.

    The lock belongs to the open file (F_OFD_SETLK, fcntl(2)), so that threads exclude each other too. Two names with
    the same byte only wait for each other.
    """
    byte = int.from_bytes(name.encode()) % _LOCK_BYTES
    try:
        fcntl.fcntl(locks, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
        return True
    except BlockingIOError:
        return False


def read_own(path: Path) -> bytes:
    """The contents of a file. Raises OSError, also where another user owns it."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "another user wrote it", str(path))
        return file.read()


def _default() -> Path:
    if chosen := os.environ.get("HARNESS_STATE_DIR"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/run/harness")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime, "harness")
    import tempfile  # here, for it takes 3 ms and is seldom needed

    return Path(tempfile.gettempdir(), f"harness-{os.geteuid()}")
