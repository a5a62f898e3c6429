"""Rank 0's side of a Membership (lifecycle.py): all other agents connect to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from harness.agent.discovery import just_gone
from harness.agent.edits import Edits
from harness.agent.heartbeats import watch_peers
from harness.agent.lifecycle import EVERYONE, Lifecycle, Notice
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
from harness.agent.scenario_player import stamp
from harness.agent.silence import PEER_SECONDS, Silence
from harness.errors import NodeError
from harness.model.format import first_few

_TELL_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.05


class Coordinator:
    """Carries out the decisions of a Lifecycle, and passes on changes of links. See Membership.

    Args:
        lifecycle: decides.
        digest: of rank 0's plan; a node with another plan is refused.
        edits: all changes of edges and nodes so far.
        take: called with each message for rank 0's own agent.
        address: gives the current address of a rank.
        names: host names of all nodes, by rank.
        run: the name of the run folder.
        tell: logs a line.
        beats: whether agents send heartbeats, and one that is silent for seconds counts as gone. Only where they have a
            network of their own, which is not shaped.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        digest: str,
        edits: Edits,
        take: Callable[[Message], None],
        address: Callable[[int], str],
        names: Sequence[str],
        run: str,
        tell: Callable[[str], None],
        *,
        beats: bool = False,
    ) -> None:
        self.alone = False
        self._beats, self._silence = beats, Silence(PEER_SECONDS)
        self.lifecycle, self._digest, self._edits = lifecycle, digest, edits
        self._take, self._address, self._names, self._run, self._tell = take, address, names, run, tell
        self.watches: Sequence[int] = range(1, lifecycle.size)
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._left: set[int] = set()
        self._life = time.time_ns()
        self._lives: dict[int, int] = {}
        self._judging = asyncio.Lock()
        self._confirming: asyncio.TimerHandle | None = None
        self._start: Message | None = None
        """The time at which all were ready; see scenario_player.py."""

    @property
    def gone(self) -> Sequence[int]:
        return self.lifecycle.gone

    async def serve(self) -> None:
        """See Membership. Raises NodeError where the port is taken."""
        address = self._address(0)
        self._deliver(self.lifecycle.call(0))
        try:
            server = await asyncio.start_server(self._welcome, address, PORT, limit=LONGEST)
        except OSError as problem:
            raise NodeError(0, f"listen on {address}:{PORT} for the other nodes", str(problem.strerror)) from None
        beating = asyncio.ensure_future(self._beat()) if self._beats else None
        try:
            async with server:
                await self._remind()
        finally:
            if beating is not None:
                beating.cancel()
            if self._confirming is not None:
                self._confirming.cancel()
            for writer in self._writers.values():
                writer.close()

    async def _beat(self) -> None:
        await watch_peers(self._silence, lambda: self._send_to_all({"do": "beat"}), self.lose)

    async def _remind(self) -> None:
        """Log now and then which ranks the others wait for."""
        began = time.monotonic()
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            if not self.lifecycle.went and self.lifecycle.missing:
                waited = time.monotonic() - began
                self._tell(
                    f"waiting for rank {first_few(self.lifecycle.missing, 8)} to shape its links ({waited:.0f} s)"
                )

    async def done(self, code: int) -> None:
        await self._ended(0, code)

    def away(self, away: bool) -> None:
        self._deliver(self.lifecycle.away(0, away))

    def stopped(self, code: int) -> None:
        self._deliver(self.lifecycle.done(0, code))

    async def _ended(self, rank: int, code: int) -> None:
        """A rank's job has ended; where it failed, the cause may be a node that is gone, which nobody noticed yet."""
        async with self._judging:  # one at a time: the first failure is reported as the cause
            await self._judge(rank, code)

    async def _judge(self, rank: int, code: int) -> None:
        if code and self.lifecycle.first is None:
            for other in await (self._cut_off() if self._beats else self._nameless(rank)):
                self.lose(other)
        self._deliver(self.lifecycle.done(rank, code))

    async def _nameless(self, rank: int) -> list[int]:
        return await just_gone(self._names, [other for other in self.watches if other != rank])

    async def _cut_off(self) -> list[int]:
        """Ranks that do not reconnect; on another machine, a name may stay known long after its container is gone."""
        await asyncio.sleep(RECONNECT_SECONDS)
        return [other for other in self._lives if other not in self._writers and other not in self.lifecycle.codes]

    def lose(self, rank: int, why: str = "") -> None:
        writer = self._writers.pop(rank, None)
        if writer is not None:
            writer.transport.abort()
        self._silence.forget(rank)
        self._deliver(self.lifecycle.lose(rank, why))

    def give_up(self, why: str) -> None:
        self._deliver(self.lifecycle.lose(0, why))

    async def leave(self) -> None:
        """See Membership: rank 0 ends first, once all others have said goodbye."""
        while {*self.watches} - self._left - {*self.lifecycle.gone}:
            await asyncio.sleep(_POLL_SECONDS)

    def share(self, message: Message, asked: Collection[int] = ()) -> None:
        self._send_to_all(message, asked)
        if self._confirming is not None:
            self._confirming.cancel()
        self._confirming = asyncio.get_running_loop().call_later(CONFIRM_SECONDS, self._confirm)

    def _confirm(self) -> None:
        self._send_to_all({"do": "known", "fingerprint": self._edits.fingerprint})

    def _send(self, rank: int, message: Message) -> None:
        if rank in self._writers:
            send(self._writers[rank], message)

    def _send_to_all(self, message: Message, but: Collection[int] = ()) -> None:
        for rank, writer in list(self._writers.items()):
            if rank not in but:
                send(writer, message)

    def _deliver(self, messages: Iterable[Notice]) -> None:
        for to, message in messages:
            if message["do"] == "go":
                self._start = self._start or stamp()
                message = {**message, "run": self._run, "start": self._start}
            if to in (EVERYONE, 0):
                self._take(message)
            if to == EVERYONE:
                self._send_to_all(message)
            else:
                self._send(to, message)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rank: int | None = None
        try:
            keep_alive(writer)
            async for message in received(reader):
                if rank is None:
                    rank = self._hello(message, writer)
                    if rank is None:
                        return
                elif message["do"] == "done":
                    self._silence.forget(rank)  # its heartbeats are not read meanwhile
                    await self._ended(rank, int(message["code"]))
                else:
                    self._heard(rank, message)
                self._silence.heard(rank)
        finally:
            if rank is not None and self._writers.get(rank) is writer:
                del self._writers[rank]
            writer.close()

    def _hello(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> int | None:
        """The rank that connected; None if it is no agent of this network, with that rank's address and our plan."""
        rank = message.get("rank") if message.get("do") == "hello" else None
        if not isinstance(rank, int) or rank not in self.watches:
            return None
        if writer.get_extra_info("peername")[0] != self._address(rank):
            return None
        if message["digest"] != self._digest:
            text = (
                f"rank 0 has another plan than this node (rank {rank}): do all nodes have the same image, profiles,"
                " variables and kernel?"
            )
            send(writer, {"do": "refuse", "text": text})
            return None
        if (old := self._writers.pop(rank, None)) is not None:
            old.close()
        self._writers[rank] = writer
        self._heard(rank, {**message, "do": "edits"})
        send(writer, {"do": "edits", "life": self._life, **self._edits.to_json()})
        if self._lives.setdefault(rank, message["life"]) != message["life"]:  # it restarted before anybody noticed
            self._lives[rank] = message["life"]
            self._deliver(self.lifecycle.lose(rank))
        return rank

    def _heard(self, rank: int, message: Message) -> None:
        match message["do"]:
            case "shaped":
                self._deliver(self.lifecycle.call(rank))
            case "away":
                self._deliver(self.lifecycle.away(rank, bool(message["away"])))
            case "bye":
                self._left.add(rank)
            case "gone":
                self.lose(rank, str(message["why"]))
            case "known" if message["fingerprint"] != self._edits.fingerprint:
                self._send(rank, {"do": "edits", **self._edits.to_json(), "answer": True})
            case "edits":
                if fresh := self._edits.fresh(message):
                    news = {"do": "edits", **fresh}
                    self._take(news)
                    self._send_to_all(news, {rank, *message.get("asked", ())})
                if message.get("answer"):
                    self._send(rank, {"do": "edits", **self._edits.to_json()})
