"""How agents talk: one JSON object per line, over TCP between nodes and over a local socket with the outside."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.model.plan import Pair, PlannedEdge

PORT: Final = 29321
"""Where the agent of rank 0 listens, on its node's own addresses."""
LONGEST: Final = 64 << 20
"""Bytes of a line: a plan of thousands of edges is one."""

CONFIRM_SECONDS: Final = 5.0
"""How long after a change from the command line agents compare what they know: it may still be asking other nodes."""

Message = Mapping[str, Any]


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """Notice within a minute that the other end is no more: who only listens would never know."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 9)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def send(writer: asyncio.StreamWriter, message: Message) -> None:
    """Send one; it waits in memory while the link is slow or down."""
    if not writer.is_closing():
        writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


async def received(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """All that come, until the other end is gone, or says what is no message."""
    with contextlib.suppress(OSError, ValueError):
        while line := await reader.readline():
            message = json.loads(line)
            if not isinstance(message, dict):
                return
            yield message


@dataclass
class Edits:
    """By directed edge: when it was changed, in nanoseconds since the epoch, and to what."""

    _newest: dict[Pair, tuple[int, PlannedEdge]] = field(default_factory=dict)

    def merge(self, messages: Iterable[Mapping[str, Any]]) -> list[PlannedEdge]:
        """Take up what is newer; the edges that are."""
        taken = {}
        for message in messages:
            edge, at = PlannedEdge.from_json(message["edge"]), int(message["at"])
            if edge.pair not in self._newest or at > self._newest[edge.pair][0]:
                self._newest[edge.pair] = at, edge
                taken[edge.pair] = edge
        return list(taken.values())

    def newer(self, messages: Iterable[Mapping[str, Any]]) -> list[PlannedEdge]:
        """Edges of which something newer than this is known."""
        edges = [(int(message["at"]), PlannedEdge.from_json(message["edge"])) for message in messages]
        return [edge for at, edge in edges if edge.pair in self._newest and self._newest[edge.pair][0] > at]

    def fresh(self, messages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those of the edits, as merge reads them, that are newer than what is known."""

        def is_fresh(message: Mapping[str, Any]) -> bool:
            known = self._newest.get((message["edge"]["src"], message["edge"]["dst"]))
            return known is None or int(message["at"]) > known[0]

        return [message for message in messages if is_fresh(message)]

    @property
    def fingerprint(self) -> str:
        """The same for two nodes exactly if they know the same changes."""
        known = sorted((pair, at) for pair, (at, _) in self._newest.items())
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    def to_json(self, pairs: Iterable[Pair] | None = None) -> list[dict[str, Any]]:
        """Plain JSON; merge reads it. Of these edges, or of all that were changed."""
        chosen = self._newest if pairs is None else [pair for pair in pairs if pair in self._newest]
        return [{"at": self._newest[pair][0], "edge": self._newest[pair][1].to_json()} for pair in chosen]


def edit(edge: PlannedEdge, at: int) -> dict[str, Any]:
    """One change as merge reads it."""
    return {"at": at, "edge": edge.to_json()}
