"""The files of one run; docs/runs.md says what stands in them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from harness.errors import HarnessError


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a whole file; a reader sees the old one or the new one. Raises HarnessError.

    Args:
        path: of the file; its folder is made.
        value: plain JSON.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(value, indent=1) + "\n")
        os.replace(partial, path)
    except OSError as problem:
        raise _refused(path, problem) from None


def append_json(path: Path, value: Mapping[str, Any]) -> None:
    """Add a line. Raises HarnessError."""
    try:
        with path.open("a") as file:
            file.write(json.dumps(value, separators=(",", ":")) + "\n")
    except OSError as problem:
        raise _refused(path, problem) from None


def read_json(path: Path) -> dict[str, Any] | None:
    """A whole file; None where there is none, or it makes no sense."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _refused(path: Path, problem: OSError) -> HarnessError:
    return HarnessError(f"{path} cannot be written: {problem.strerror}")


class RunFolder:
    """The files of one run.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

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

    def log(self, rank: int) -> IO[bytes]:
        """Where what a rank prints is added. Raises HarnessError."""
        path = self.path / f"rank-{rank}.log"
        try:
            return path.open("ab", buffering=0)
        except OSError as problem:
            raise _refused(path, problem) from None

    def links(self, line: Mapping[str, Any]) -> None:
        """Add what the kernel counted. Raises HarnessError."""
        append_json(self.path / "links.jsonl", line)

    def change(self, line: Mapping[str, Any]) -> None:
        """Add a reshape. Raises HarnessError."""
        append_json(self.path / "changes.jsonl", line)
