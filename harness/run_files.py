"""The files of one run; docs/runs.md describes their contents."""

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
    """Replace a file; a reader sees the old contents or the new ones. Raises HarnessError.

    Args:
        path: of the file, whose folder exists.
        data: the new contents.
        sync: whether the file must survive a power cut.
    """
    partial = path.with_name(f".{path.name}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC  # O_EXCL follows no link of another user
    try:
        partial.unlink(missing_ok=True)  # a killed writer may have left it
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
    """Replace a JSON file, and make its folder. Raises HarnessError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise _refused(path, problem) from None
    replace_file(path, (json.dumps(value, indent=1) + "\n").encode())


def append_json(path: Path, value: Mapping[str, Any]) -> None:
    """Add a line of JSON. Where that raises HarnessError, the file is as before."""
    with Lines(path) as file:
        file.write(json.dumps(value, separators=(",", ":")).encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None where the file is missing or damaged."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _refused(path: Path, problem: OSError) -> HarnessError:
    return HarnessError(f"{path} cannot be written: {problem.strerror}")


def _no_link(path: str, flags: int) -> int:
    """Open a file, but no symbolic link: jobs in containers are other users, who may write to the run folder."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


class Lines:
    """A file to which lines are added, each at once. Where the disk is full, no part of a line stays.

    Raises:
        HarnessError: the file cannot be opened.
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
        """Its present size in bytes."""
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
        """End a line that an earlier attempt left incomplete."""
        if self.size and os.pread(self._file.fileno(), 1, self.size - 1) != b"\n":
            self._file.write(b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._printed: dict[int, int] = {}
        """The size of each rank's log when this attempt opened it."""

    def make(self, *, shared: bool) -> None:
        """Make the folder; ``shared`` lets other users write to it, e.g. from containers. Raises HarnessError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if shared:
                self.path.chmod(0o1777)
        except OSError as problem:
            raise HarnessError(f"{self.path} cannot be made: {problem.strerror}") from None

    @property
    def can_go_on(self) -> bool:
        """Whether an earlier attempt was stopped or killed, and left checkpoints to resume from.

        A failed attempt is not resumed: its program may have been fixed, and a run made by two programs is comparable
        with no other.
        """
        status = (self.ending or {"status": "stopped"}).get("status")
        return self.facts is not None and status == "stopped" and any(self.path.glob("checkpoints/*.pt"))

    def clear(self) -> None:
        """Remove what earlier attempts measured and saved, except the ranks' logs. Raises HarnessError."""
        try:
            for path in (path for pattern in _MEASURED for path in self.path.glob(pattern)):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        except OSError as problem:
            raise HarnessError(f"{problem.filename} cannot be removed: {problem.strerror}") from None

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write run.json, and remove end.json of an earlier attempt. Raises HarnessError."""
        write_json(self.path / "run.json", facts)
        (self.path / "end.json").unlink(missing_ok=True)

    @property
    def facts(self) -> dict[str, Any] | None:
        """The contents of run.json, or None."""
        return read_json(self.path / "run.json")

    @property
    def ending(self) -> dict[str, Any] | None:
        """The contents of end.json; None for a run that has not ended."""
        return read_json(self.path / "end.json")

    def end(self, status: str, **facts: Any) -> None:
        """Write end.json. Raises HarnessError.

        Args:
            status: finished, failed, stopped or limit.
            facts: further contents.
        """
        write_json(self.path / "end.json", {"status": status, "time": time.time(), **facts})

    def log(self, rank: int, attempt: int = 1) -> Lines:
        """Open a rank's log; after the first attempt (1), a line says which one begins. Raises HarnessError."""
        lines = Lines(self.path / f"rank-{rank}.log")
        if attempt > 1:
            lines.write(f"--- attempt {attempt} ---".encode())
        self._printed[rank] = lines.size
        return lines

    def last_lines(self, rank: int, count: int) -> list[str]:
        """The last lines of a rank's log in this attempt."""
        with contextlib.suppress(OSError), (self.path / f"rank-{rank}.log").open("rb") as file:
            file.seek(self._printed.get(rank, 0))
            return file.read().decode(errors="replace").splitlines()[-count:]
        return []

    def change(self, line: Mapping[str, Any], traces: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Record a reshape. Raises HarnessError.

        Args:
            line: of changes.jsonl.
            traces: the links' new packet-delivery traces, by file name.
        """
        for name, content in traces.items():
            if not (self.path / name).exists():
                replace_file(self.path / name, content)
        append_json(self.path / "changes.jsonl", line)
