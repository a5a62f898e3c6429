"""Copies each rank's run folder to rank 0's when the job has ended, where nodes are on several machines.

Both ends send one JSON object per line; after the line of a file that rank 0 wants, its bytes follow:

    worker                                       rank 0
    {"run": "20261127-231500"}                   {"want": true}
    {"name": "links-1.jsonl", "size": 81034}     {"want": true}, or false if it has such a file
    81034 bytes
    ...                                          the file appears once it is whole
    {"end": true}                                {"files": 12}
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from harness.agent.job import as_user
from harness.agent.log import say
from harness.agent.protocol import PORTS
from harness.agent.result_files import LONGEST_NAME, MOST_BYTES, ResultFile, chosen, result_files, safe_name
from harness.model.format import first_few, format_size
from harness.model.units import Size

PORT: Final = PORTS[2]
"""Where rank 0's agent listens for results, on the agents' network."""
_CHUNK: Final = 1 << 18
_LONGEST: Final = 8 * LONGEST_NAME
_PATIENCE: Final = 15.0


def _line(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")


async def _heard(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Raises OSError, TimeoutError, ValueError."""
    try:
        line = await asyncio.wait_for(reader.readline(), _PATIENCE)
    except TimeoutError:
        raise TimeoutError(f"nothing came for {_PATIENCE:.0f} s") from None
    if not line:
        raise ConnectionError("the connection ended")
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("no object")
    return message


async def send_results(
    folder: Path, where: tuple[str, int], user: tuple[int, int], tell: Callable[[str], None]
) -> None:
    """Send the files of this rank, and log which cannot be sent.

    Args:
        folder: of the run; rank 0's has the same name.
        where: address and port of rank 0's agent.
        user: (uid, gid) of the job.
        tell: logs a line.
    """
    try:
        with as_user(*user):
            found, others = result_files(folder)
        sent, left_out = chosen(found)
        reader, writer = await asyncio.wait_for(asyncio.open_connection(*where, limit=_LONGEST), _PATIENCE)
        with contextlib.closing(writer):
            _line(writer, {"run": folder.name})
            if not (await _heard(reader)).get("want"):  # rank 0 has no folder for results
                return
            for file in sent:
                await _send(folder / file.name, file, reader, writer, user)
            _line(writer, {"end": True})
            await _heard(reader)
    except (OSError, TimeoutError, ValueError) as problem:
        tell(f"results could not be sent to rank 0: {problem or type(problem).__name__}")
        return
    for kind, lost in (
        (f"over {format_size(Size(MOST_BYTES))} in all", [f"{one.name} ({format_size(one.size)})" for one in left_out]),
        ("in folders too deep, or with such names,", others),
    ):
        if lost:
            tell(f"results {kind} are not sent to rank 0, so these are lost: {first_few(lost)}")


async def _send(
    path: Path, file: ResultFile, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: tuple[int, int]
) -> None:
    with as_user(*user):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as content:
        _line(writer, {"name": file.name, "size": file.size})
        left = file.size if (await _heard(reader)).get("want") else 0
        while left:
            if not (data := content.read(min(left, _CHUNK))):
                raise OSError(f"{file.name} became shorter while it was sent")
            left -= len(data)
            writer.write(data)
            await asyncio.wait_for(writer.drain(), _PATIENCE)


@dataclass
class Results:
    """Receives results at rank 0.

    Args:
        addresses: of the agents, by rank.
        folder: gives the run folder; None: there is none.
        user: (uid, gid) to whom the files shall belong.
    """

    addresses: Sequence[IPv4Address]
    folder: Callable[[], Path | None]
    user: tuple[int, int]
    complete: set[int] = field(default_factory=set)
    """Ranks that have sent all their files."""
    files: int = 0
    size: int = 0
    busy: int = 0
    """Number of ranks that are sending."""
    problem: str = ""
    """The last failure of a rank to send its files."""

    async def open(self, where: tuple[str, int]) -> asyncio.Server:
        """Listen. Raises OSError."""
        return await asyncio.start_server(self._visited, *where, limit=_LONGEST)

    def log_summary(self, ranks: int, gone: Sequence[int]) -> None:
        """Log which ranks' results have come, if there is something to say; see summary."""
        if summary := self.summary(ranks, gone):
            say(summary)

    def summary(self, ranks: int, gone: Sequence[int]) -> str:
        """A line that says which ranks' results have come; empty where all share one folder.

        Args:
            ranks: number of ranks.
            gone: ranks whose container or machine is gone.
        """
        missing = [rank for rank in range(1, ranks) if rank not in self.complete]
        parts = [f"{self.files} files of other ranks ({format_size(self.size)}) came here"] if self.files else []
        if missing:
            why = ", which is gone" if len(missing) == 1 and missing[0] in gone else ""
            why = why or (f"; gone: {first_few(gone)}" if gone else "") + (f" ({self.problem})" if self.problem else "")
            parts.append(f"not those of rank {first_few(missing)}{why}")
        return "results: " + ", ".join(parts) if parts else ""

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = IPv4Address(writer.get_extra_info("peername")[0])
        with contextlib.closing(writer):
            if address not in self.addresses[1:]:  # jobs in this container have our own address
                return
            self.busy += 1
            try:
                await self._receive(self.addresses.index(address), reader, writer)
            except (OSError, ValueError) as problem:
                self.problem = (problem.strerror if isinstance(problem, OSError) else "") or str(problem)
            finally:
                self.busy -= 1

    async def _receive(self, rank: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        folder = self.folder()
        welcome = folder is not None and (await _heard(reader)).get("run") == folder.name
        _line(writer, {"want": welcome})
        left, files = MOST_BYTES, 0
        while folder is not None and welcome:
            message = await _heard(reader)
            if message.get("end"):
                self.complete.add(rank)
                _line(writer, {"files": files})
                await writer.drain()
                return
            name, size = safe_name(message.get("name")), message.get("size")
            if name is None or not isinstance(size, int) or not 0 <= size <= left:
                raise ValueError(f"rank {rank} sent what is not a file of a run: {message}")
            left -= size
            files += await self._file(folder / name, rank, size, reader, writer)

    async def _file(
        self, path: Path, rank: int, size: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Receive one file; whether it was wanted."""
        partial = path.with_name(f".{path.name}.{rank}.part")
        descriptor = self._begin(path, partial)
        _line(writer, {"want": descriptor is not None})
        if descriptor is None:
            return False
        try:
            with open(descriptor, "wb") as target:
                await _copy(reader, target.write, size)
            with as_user(*self.user), contextlib.suppress(FileExistsError):  # rank 0 has written its own meanwhile
                os.link(partial, path)
                self.files, self.size = self.files + 1, self.size + size
        finally:
            with as_user(*self.user):
                partial.unlink(missing_ok=True)
        return True

    def _begin(self, path: Path, partial: Path) -> int | None:
        """Open the partial file; None if the file exists already."""
        with as_user(*self.user):
            if os.path.lexists(path):
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)
            return os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


async def _copy(reader: asyncio.StreamReader, write: Callable[[bytes], object], size: int) -> None:
    while size:
        data = await asyncio.wait_for(reader.read(min(size, _CHUNK)), _PATIENCE)
        if not data:
            raise OSError("the connection ended within a file")
        write(data)
        size -= len(data)
