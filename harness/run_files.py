"""The files of one run; docs/runs.md says what stands in them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from harness.errors import HarnessError

CHANGES: Final = "changes.jsonl"
TRAFFIC: Final = "traffic.jsonl"
AWAY: Final = "away.jsonl"
MEMBERSHIP: Final = "membership.jsonl"
_MEASURED: Final = (
    *("rank-*.jsonl", "collectives-*.jsonl", "links.jsonl", "links-*.jsonl", "flows.jsonl", "flows-*.jsonl"),
    *(CHANGES, TRAFFIC, AWAY, MEMBERSHIP, "end.json", "checkpoints", "delivery-*.trace"),
)


def replace_file(path: Path, data: bytes | memoryview, *, sync: bool = False) -> None:
    """Write a whole file; a reader sees the old one or the new one. Raises HarnessError.

    Args:
        path: of the file, whose folder is there.
        data: all that it has then.
        sync: whether it must outlive a power cut.
    """
    partial = path.with_name(f".{path.name}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC  # O_EXCL follows no link: others may write to a folder
    try:
        partial.unlink(missing_ok=True)  # of a writer that was killed
        try:
            with open(os.open(partial, flags, 0o666), "wb") as file:
                file.write(data)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise _refused(path, problem) from None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a whole file as replace_file does. Raises HarnessError.

    Args:
        path: of the file; its folder is made.
        value: plain JSON.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise _refused(path, problem) from None
    replace_file(path, (json.dumps(value, indent=1) + "\n").encode())


def append_json(path: Path, value: Mapping[str, Any]) -> None:
    """Add a line, or nothing. Raises HarnessError."""
    with Lines(path) as file:
        file.write(json.dumps(value, separators=(",", ":")).encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """A whole file; None where there is none, or it makes no sense."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _refused(path: Path, problem: OSError) -> HarnessError:
    return HarnessError(f"{path} cannot be written: {problem.strerror}")


def _no_link(path: str, flags: int) -> int:
    """Open a file that is no link: jobs in containers are other users, and may write to the folder of their run."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


class Lines:
    """A file to which lines are added, each at once and whole: where the disk is full, nothing stays of a line.

    Args:
        path: of the file.

    Raises:
        HarnessError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = io.FileIO(path, "a+", opener=_no_link)
            self._end_the_last()
        except OSError as problem:
            raise _refused(path, problem) from None

    @property
    def size(self) -> int:
        """Bytes that the file has now."""
        return os.fstat(self._file.fileno()).st_size

    def write(self, line: bytes) -> None:
        """Add a line, given without its newline. Raises HarnessError."""
        rest = data = line + b"\n"
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as problem:
            with contextlib.suppress(OSError):
                self._file.truncate(self.size - (len(data) - len(rest)))
            raise _refused(self.path, problem) from None

    def _end_the_last(self) -> None:
        """Where an earlier attempt was cut off within a line, what comes now begins a new one."""
        if self.size and os.pread(self._file.fileno(), 1, self.size - 1) != b"\n":
            self._file.write(b"\n")

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RunFolder:
    """The files of one run.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._printed: dict[int, int] = {}
        """How long each rank's log was when it was opened here."""

    def make(self, *, shared: bool) -> None:
        """Make the folder. Raises HarnessError.

        Args:
            shared: whether other users than ours write to it, as programs in containers do.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if shared:
                self.path.chmod(0o1777)
        except OSError as problem:
            raise HarnessError(f"{self.path} cannot be made: {problem.strerror}") from None

    @property
    def can_go_on(self) -> bool:
        """Whether there is an attempt that was stopped or cut off, and has saved states to go on from.

        One that failed is done anew: what made it fail may have been fixed, and a run that two programs made half
        each can be compared with nothing.
        """
        status = (self.ending or {"status": "stopped"}).get("status")
        return self.facts is not None and status == "stopped" and any(self.path.glob("checkpoints/*.pt"))

    def clear(self) -> None:
        """Forget what earlier attempts measured and saved, but not what ranks printed. Raises HarnessError."""
        try:
            for path in (path for pattern in _MEASURED for path in self.path.glob(pattern)):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        except OSError as problem:
            raise HarnessError(f"{problem.filename} cannot be removed: {problem.strerror}") from None

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write run.json; what an earlier attempt said of its end counts no more. Raises HarnessError."""
        write_json(self.path / "run.json", facts)
        (self.path / "end.json").unlink(missing_ok=True)

    @property
    def facts(self) -> dict[str, Any] | None:
        """What run.json says, or None."""
        return read_json(self.path / "run.json")

    @property
    def ending(self) -> dict[str, Any] | None:
        """What end.json says; None for a run that has not ended."""
        return read_json(self.path / "end.json")

    def end(self, status: str, **facts: Any) -> None:
        """Say how it ended. Raises HarnessError.

        Args:
            status: finished, failed, stopped or limit.
            facts: what else stands in end.json.
        """
        write_json(self.path / "end.json", {"status": status, "time": time.time(), **facts})

    def log(self, rank: int, attempt: int = 1) -> Lines:
        """Where what a rank prints is added; a line says where an attempt after the first begins. Raises HarnessError.

        Args:
            rank: which.
            attempt: at this run, from 1.
        """
        lines = Lines(self.path / f"rank-{rank}.log")
        if attempt > 1:
            lines.write(f"--- attempt {attempt} ---".encode())
        self._printed[rank] = lines.size
        return lines

    def last_lines(self, rank: int, count: int) -> list[str]:
        """The end of what a rank has printed since its log was opened here: not what it did in an earlier attempt."""
        with contextlib.suppress(OSError), (self.path / f"rank-{rank}.log").open("rb") as file:
            file.seek(self._printed.get(rank, 0))
            return file.read().decode(errors="replace").splitlines()[-count:]
        return []

    def change(self, line: Mapping[str, Any], traces: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Add a reshape. Raises HarnessError.

        Args:
            line: of changes.jsonl.
            traces: the packet-delivery traces that links have after it, by the names of their files.
        """
        for name, content in traces.items():
            if not (self.path / name).exists():
                replace_file(self.path / name, content)
        append_json(self.path / "changes.jsonl", line)
