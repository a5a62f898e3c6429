"""Every other rank's part in keeping nodes together: one connection to rank 0's agent, made again when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

from harness.errors import InputError
from harness.node.edits import Edits
from harness.node.letters import LONGEST, PORT, Letter, received, send

_CONNECT_SECONDS: Final = 20.0
_PAUSE: Final = 0.2
_TELL_SECONDS: Final = 20.0


class Member:
    """Says when this node is shaped and when its job has ended, and passes on what rank 0 says.

    Args:
        rank: this node's.
        digest: of its plan.
        edits: all that it knows of changed edges.
        take: the agent: is told what rank 0 says.
        where: rank 0's address, which may change while rank 0 is away.
        tell: a line for the log.
    """

    def __init__(
        self,
        rank: int,
        digest: str,
        edits: Edits,
        take: Callable[[Letter], None],
        where: Callable[[], str],
        tell: Callable[[str], None],
    ) -> None:
        self._rank, self._digest, self._edits = rank, digest, edits
        self._take, self._where, self._tell = take, where, tell
        self._writer: asyncio.StreamWriter | None = None
        self._code: int | None = None

    @property
    def connected(self) -> bool:
        """Whether rank 0 hears us."""
        return self._writer is not None

    async def stay(self) -> None:
        """Keep the connection until cancelled. Raises InputError where rank 0 has another plan."""
        began = told = time.monotonic()
        while True:
            try:
                connecting = asyncio.open_connection(self._where(), PORT, limit=LONGEST)
                reader, writer = await asyncio.wait_for(connecting, _CONNECT_SECONDS)
            except (TimeoutError, OSError):
                now = time.monotonic()
                if now - told > _TELL_SECONDS:
                    told = now
                    self._tell(f"no answer from rank 0 at {self._where()} over the links yet ({now - began:.0f} s)")
                await asyncio.sleep(_PAUSE)
                continue
            try:
                await self._talk(reader, writer)
            finally:
                self._writer = None
                writer.close()
            await asyncio.sleep(_PAUSE)
            began = told = time.monotonic()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = {"do": "hello", "rank": self._rank, "digest": self._digest, "edits": self._edits.to_json()}
        send(writer, hello)
        async for letter in received(reader):
            if letter["do"] == "refuse":
                raise InputError(str(letter["text"]))
            self._take(letter)
            if self._writer is None:  # what rank 0 knows of the links has been applied: now we are as planned
                self._writer = writer
                self._say({"do": "shaped"})
                if self._code is not None:
                    self._say({"do": "done", "code": self._code})

    def done(self, code: int) -> None:
        """Our job has ended."""
        self._code = code
        self._say({"do": "done", "code": code})

    def share(self, letter: Letter) -> None:
        """Tell rank 0, which tells everyone."""
        self._say(letter)

    def drop(self) -> None:
        """End the connection: rank 0's container is gone."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.transport.abort()

    def _say(self, letter: dict[str, Any] | Letter) -> None:
        if self._writer is not None:
            send(self._writer, letter)
