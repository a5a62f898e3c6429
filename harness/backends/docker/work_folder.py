"""The user's files for nodes on other machines: Docker Swarm copies them, as configs, into every container."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import InputError, quoted

LARGEST: Final = 500 * 1024 - 1
"""Bytes of a config (moby/swarmkit, api/validation/secrets.go: MaxSecretSize)."""
MOST: Final = 200
"""Files at most: every manager of the swarm keeps all of them in memory."""
_OWN_IMAGE: Final = "build such into an image of yours (FROM harness-node, COPY) and name that: --image"
_IN_TOPOLOGY: Final = re.compile(r"([:,=])")


@dataclass(frozen=True)
class WorkFile:
    """One file.

    Args:
        source: its path here.
        target: its path in the folder.
        digest: SHA-256 of its content.
        executable: whether it may be run.
    """

    source: Path
    target: str
    digest: str
    executable: bool


def read_folder(folder: Path) -> tuple[list[WorkFile], list[str]]:
    """The files in a folder and below it, and the names of empty files, which Swarm does not copy.

    It leaves out hidden files and folders, Python's caches, and what is neither file nor folder.

    Raises:
        InputError: it is no folder, or a file is too large, or there are too many.
    """
    if not folder.is_dir():
        raise InputError(f"--work {quoted(str(folder))} is not a folder")
    carried, empty = [], []
    for path in _files(folder):
        target = path.relative_to(folder).as_posix()
        try:
            size = path.stat().st_size
            if size > LARGEST:
                raise InputError(
                    f"--work: {path} has {size / 1e3:,.0f} kB, and Swarm carries files of up to 500 kB; {_OWN_IMAGE}"
                )
            data = path.read_bytes()
        except OSError as problem:
            raise InputError(f"--work: {path} cannot be read: {problem.strerror}") from None
        if not data:
            empty.append(target)
            continue
        digest = hashlib.sha256(data).hexdigest()
        carried.append(WorkFile(path.absolute(), target, digest, os.access(path, os.X_OK)))
        if len(carried) > MOST:
            raise InputError(f"--work: {folder} has over {MOST} files; {_OWN_IMAGE}")
    return carried, empty


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_dir():
            if not path.is_symlink():  # it may lead back here
                yield from _files(path)
        elif path.is_file():
            yield path


def inside(option: str, text: str, folder: Path | None) -> str:
    """The text of an option with the paths that files have in a node, which starts in the folder.

    Args:
        option: its name, for errors.
        text: a name; or a path, perhaps within ``matrix:`` or ``regions:``.
        folder: that is copied to nodes; None: none is.

    Raises:
        InputError: a file is not in the folder.
    """
    return "".join(
        _place(option, part, folder) if "/" in part or part.lower().endswith((".yaml", ".yml", ".csv")) else part
        for part in _IN_TOPOLOGY.split(text)
    )


def _place(option: str, text: str, folder: Path | None) -> str:
    if folder is None:
        raise InputError(f"{option} {quoted(text)} is a file: nodes get those in a folder that you name: --work DIR")
    try:
        return f"./{Path(text).resolve().relative_to(folder.resolve()).as_posix()}"
    except ValueError:
        raise InputError(
            f"{option} {quoted(text)} is not in the folder that nodes get, --work {folder}: copy it there"
        ) from None
