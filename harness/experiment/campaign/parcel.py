"""Packs folders into bytes for other machines, and unpacks them whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError, InputError
from harness.run_files import RunFolder

_MOST_BYTES: Final = 500_000_000
_LEFT_OUT: Final = (".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "node_modules")
_MARKS: Final = ("pyvenv.cfg", "experiment.json", "run.json")
"""A folder with one of these is a virtual environment, or has records."""


def pack_experiment(source: Path, copy: Path) -> bytes:
    """The folder of an experiment's file, with that file's copy from when the experiment began. Raises InputError.

    Links are followed; folders of git, virtual environments, caches and records are left out.
    """
    root, total = source.parent, 0
    if not root.is_dir():
        raise InputError(f"{root}, the experiment's folder, whose files go to the machines, is not there any more")
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1, dereference=True) as tar:
        for path in _files(root, frozenset()):
            if path == source:
                continue
            total += path.stat().st_size
            if total > _MOST_BYTES:
                raise InputError(
                    f"{root}, the experiment's folder, goes to the machines with all that is in it, and has over "
                    f"{_MOST_BYTES // 1_000_000} MB: put the file and what it needs into a folder of its own"
                )
            tar.add(path, str(path.relative_to(root)), recursive=False)
        tar.add(copy, source.name)
    return made.getvalue()


def _files(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """All regular files; a link to a folder that it is in is left out."""
    here = os.path.realpath(folder)
    if here in above:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _LEFT_OUT and not any((path / mark).exists() for mark in _MARKS):
                yield from _files(path, above | {here})
        elif path.is_file():
            yield path


def pack(folder: Path) -> bytes:
    """A folder without pipes and the like, and without links that lead out of it, which unpack refuses."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as tar:
        tar.add(folder, ".", filter=_travelling)
    return made.getvalue()


def _travelling(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    target = os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname))
    leads_out = member.issym() and (os.path.isabs(target) or target.split("/")[0] == "..")
    return None if leads_out or not (member.isfile() or member.isdir() or member.islnk() or member.issym()) else member


def unpack(data: bytes, folder: Path) -> None:
    """Unpack into a folder, which is made. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(folder, **safe)


def land(data: bytes, folder: RunFolder, finish: Callable[[RunFolder], None]) -> None:
    """Replace a run's folder by a packed one, at once. Raises HarnessError.

    ``finish`` is called with the new folder before it is in its place.
    """
    path = folder.path
    part, old = (path.with_name(f".{path.name}.{what}") for what in ("part", "old"))
    try:
        for left in (part, old):  # of a command that was killed
            shutil.rmtree(left, ignore_errors=True)
        unpack(data, part)
        finish(RunFolder(part))
        if path.exists():
            path.rename(old)
        part.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, EOFError, tarfile.TarError) as problem:
        shutil.rmtree(part, ignore_errors=True)
        raise HarnessError(f"{path} cannot be written: {problem}") from None
