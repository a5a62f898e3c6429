"""The agents' protocol: one JSON object per line, over TCP between nodes, by a local socket to the command line."""

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
"""Bytes of a line: a plan of thousands of edges is one line."""
CONFIRM_SECONDS: Final = 5.0
"""After a change by the command line, agents compare fingerprints only then: it may still be sending to other nodes."""
RECONNECT_SECONDS: Final = 1.0
"""An agent that is alive reconnects within this time, where agents have a network of their own."""

Message = Mapping[str, Any]


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """Let TCP notice within a minute that the other end is gone; a reader alone would wait for ever."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 9)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def send(writer: asyncio.StreamWriter, message: Message) -> None:
    """Send a message; it waits in memory while the link is slow or down."""
    if not writer.is_closing():
        writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


async def received(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Yield messages until the connection ends or brings something that is no message."""
    with contextlib.suppress(OSError, ValueError):
        while line := await reader.readline():
            message = json.loads(line)
            if not isinstance(message, dict):
                return
            yield message
