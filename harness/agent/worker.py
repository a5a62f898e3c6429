"""Every other rank's side of a Membership (lifecycle.py): a connection to rank 0, which it makes again if it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from harness.agent.discovery import just_gone, until_gone
from harness.agent.edits import Edits
from harness.agent.heartbeats import watch_peers
from harness.agent.lifecycle import GONE
from harness.agent.protocol import (
    CONFIRM_SECONDS,
    LONGEST,
    PORT,
    RECONNECT_SECONDS,
    Message,
    keep_alive,
    received,
    send,
)
from harness.agent.silence import PEER_SECONDS, Silence
from harness.errors import InputError

_CONNECT_SECONDS: Final = 20.0
_PAUSE: Final = 0.2
_TELL_SECONDS: Final = 20.0


class Worker:
    """Reports to rank 0 that this node is shaped and that its job has ended. See Membership.

    Args:
        rank: of this node.
        digest: of its plan.
        edits: all changes of edges and nodes so far.
        take: called with each message of rank 0 for this node's agent.
        where: gives rank 0's address, which may change while rank 0 is away.
        names: host names of all nodes, by rank.
        stops: whether the job ends here when rank 0 is gone.
        tell: logs a line.
        beats: see Coordinator.
    """

    def __init__(
        self,
        rank: int,
        digest: str,
        edits: Edits,
        take: Callable[[Message], None],
        where: Callable[[], str],
        names: Sequence[str],
        stops: bool,
        tell: Callable[[str], None],
        *,
        beats: bool = False,
    ) -> None:
        self._beats, self._silence = beats, Silence(PEER_SECONDS)
        self._rank, self._digest, self._edits = rank, digest, edits
        self._take, self._where, self._tell = take, where, tell
        self.watches: Sequence[int] = (0,)
        self.alone = self._leaving = self._given_up = False
        self._life = time.time_ns()
        self._life_of_0 = 0
        self._names, self._stops = names, stops
        self._writer: asyncio.StreamWriter | None = None
        self._code: int | None = None
        self._away = self._stopping = False
        self._confirming: asyncio.TimerHandle | None = None

    @property
    def gone(self) -> Sequence[int]:
        return (0,) if self.alone else ()

    async def serve(self) -> None:
        """See Membership. Raises InputError if rank 0 has another plan."""
        beating = asyncio.ensure_future(self._beat()) if self._beats else None
        try:
            await self._keep_connected()
        finally:
            if beating is not None:
                beating.cancel()

    async def _beat(self) -> None:
        await watch_peers(self._silence, lambda: self._say({"do": "beat"}), self.lose)

    async def _keep_connected(self) -> None:
        began = logged = time.monotonic()
        while not self._given_up:
            if await self._connected():
                began = logged = time.monotonic()
            now = time.monotonic()
            if now - logged > _TELL_SECONDS:
                logged = now
                over = "" if self._beats else " over the links"
                self._tell(f"no answer from rank 0 at {self._where()}{over} yet ({now - began:.0f} s)")
            await asyncio.sleep(_PAUSE)

    async def _connected(self) -> bool:
        """Connect, and talk until the connection ends; whether rank 0 answered."""
        try:
            connecting = asyncio.open_connection(self._where(), PORT, limit=LONGEST)
            reader, writer = await asyncio.wait_for(connecting, _CONNECT_SECONDS)
        except (TimeoutError, OSError):
            return False
        try:
            keep_alive(writer)
            await self._talk(reader, writer)
            return self._writer is not None
        finally:
            self._writer = None
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = {"do": "hello", "rank": self._rank, "digest": self._digest, "life": self._life}
        send(writer, hello | self._edits.to_json())
        async for message in received(reader):
            if message["do"] == "refuse":
                raise InputError(str(message["text"]))
            if self._writer is None:
                self._meet(int(message["life"]))
            self._silence.heard(0)
            self._hear(message)
            if self.alone:  # rank 0 has said that it ends
                return
            if self._writer is None:  # the first message has rank 0's changes of the links, which are applied now
                self._writer = writer
                if not (self._stopping or self._leaving):  # else a rank 0 that was restarted would start its job
                    self._say({"do": "shaped"})
                if self._code is not None:
                    self._say({"do": "done", "code": self._code})
                elif self._away:
                    self.away(True)
                if self._leaving:  # what was said before the connection was there is lost
                    self._say({"do": "bye"})

    def _meet(self, life: int) -> None:
        """Rank 0 answers. If it is another life of it, it was restarted, perhaps before anybody noticed."""
        if self._life_of_0 not in (0, life):
            self.lose(0)
        self._life_of_0, self.alone = life, False

    def _hear(self, message: Message) -> None:
        match message["do"]:
            case "beat":
                return
            case "known":
                if message["fingerprint"] != self._edits.fingerprint:
                    self._say({"do": "edits", **self._edits.to_json(), "answer": True})
            case "lost" if message["rank"] == 0:
                self.lose(0, str(message.get("why", "")))
            case _:
                self._take(message)
                if message.get("answer"):
                    self._say({"do": "edits", **self._edits.to_json()})

    async def done(self, code: int) -> None:
        if code and not self.alone and await self._rank_0_is_gone():
            self.lose(0)
        self._code = code
        self._say({"do": "done", "code": code})
        if self.alone:
            self._take({"do": "end", "code": GONE})

    async def _rank_0_is_gone(self) -> bool:
        if not self._beats:
            return bool(await just_gone(self._names, (0,)))
        await asyncio.sleep(RECONNECT_SECONDS)
        return self._writer is None

    def away(self, away: bool) -> None:
        self._away = away
        self._say({"do": "away", "away": away})

    def stopped(self, code: int) -> None:
        self._say({"do": "done", "code": code})

    def share(self, message: Message, asked: Collection[int] = ()) -> None:
        """See Membership: rank 0 passes it on, unless the command line sends it to rank 0 too."""
        if 0 not in asked:
            self._say({**message, "asked": list(asked)})
        if self._confirming is not None:
            self._confirming.cancel()
        self._confirming = asyncio.get_running_loop().call_later(CONFIRM_SECONDS, self._confirm)

    def _confirm(self) -> None:
        self._say({"do": "known", "fingerprint": self._edits.fingerprint})

    def lose(self, rank: int, why: str = "") -> None:
        """See Membership; without rank 0, each node decides alone."""
        if self.alone or self._leaving:
            return
        self.alone, self._stopping = True, self._stops
        self._silence.forget(rank)
        if self._writer is not None:
            self._writer.transport.abort()
        self._take({"do": "lost", "rank": rank} | ({"why": why} if why else {}))
        if self._code is not None:
            self._take({"do": "end", "code": GONE})
        elif self._stops:
            self._take({"do": "stop", "rank": rank, "code": GONE})

    def give_up(self, why: str) -> None:
        self._given_up = True
        self._say({"do": "gone", "why": why})

    async def leave(self) -> None:
        """See Membership: rank 0 ends first, once all others have said goodbye."""
        self._leaving = True
        self._say({"do": "bye"})
        while self._beats and self._writer is not None:
            await asyncio.sleep(_PAUSE)
        if not self._beats:
            await until_gone(self._names, 0)

    def _say(self, message: dict[str, Any] | Message) -> None:
        if self._writer is not None:
            send(self._writer, message)
