"""How agents talk: one JSON object per line, over TCP between nodes and over a local socket with the outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

PORT: Final = 29321
"""Where the agent of rank 0 listens, on its node's own addresses."""
PORTS: Final = range(PORT, PORT + 3)
"""The others are on the agents' own network: manage_network.py, results.py."""
LONGEST: Final = 64 << 20
"""Bytes of a line: a plan of thousands of edges is one."""

CONFIRM_SECONDS: Final = 5.0
"""How long after a change from the command line agents compare what they know: it may still be asking other nodes."""

RECONNECT_SECONDS: Final = 1.0
"""In which an agent on a network of the agents' own has made a connection anew that has ended, if it is still there."""

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
