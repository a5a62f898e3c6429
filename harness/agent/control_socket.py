"""Where the command line talks to the agent: a local socket, which it reaches through ``docker exec``.

It is an abstract socket in the container's network namespace, for root only. Where containers are on several machines,
the command line reaches other machines' agents through this one, by TCP over the agents' own network
(manage_network.py); they start programs for it too, because ``docker exec`` works only on one machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address
from typing import Any, Final

from harness.agent.program import start_program
from harness.agent.protocol import LONGEST, Message, keep_alive, received, send
from harness.errors import HarnessError, NodeError
from harness.linux.peer import peer_user

ADDRESS: Final = "\0tc-harness-agent"
_CHUNK: Final = 1 << 16

Handler = Callable[[Message], Mapping[str, Any]]
Leaving = Mapping[str, Callable[[], None]]


async def open_control_socket(answer: Handler, gone: Leaving) -> asyncio.Server:
    """Listen on the local socket.

    Args:
        answer: answers a request; its errors become part of the reply.
        gone: called when a visitor leaves that has sent this request (``hold``, ``pause``).

    Raises:
        OSError: there is an agent already.
    """

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        allowed = peer_user(writer.get_extra_info("socket")) == os.geteuid()
        await _visited(reader, writer, answer, gone, allowed=allowed)

    return await asyncio.start_unix_server(visit, ADDRESS, limit=LONGEST)


async def open_control_port(
    answer: Handler, gone: Leaving, where: tuple[str, int], visitors: Collection[IPv4Address]
) -> asyncio.Server:
    """Listen on the agents' network for requests of the command line that come through another agent.

    Args:
        answer: as above.
        gone: as above.
        where: address and port.
        visitors: addresses of the agents on that network, which only root in their containers can use. Ours is not let
            in: jobs in this container have it too, and root here uses the local socket.

    Raises:
        OSError: there is an agent already.
    """

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        allowed = peer is not None and peer[0] != where[0] and IPv4Address(peer[0]) in visitors
        keep_alive(writer)
        await _visited(reader, writer, answer, gone, allowed=allowed, programs=True)

    return await asyncio.start_server(visit, *where, limit=LONGEST)


async def _visited(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Handler,
    gone: Leaving,
    *,
    allowed: bool,
    programs: bool = False,
) -> None:
    asked = set()
    try:
        if allowed:
            async for message in received(reader):
                if programs and message.get("do") == "exec":
                    await _run(reader, writer, message)
                    return
                asked.add(message.get("do"))
                send(writer, _reply(answer, message))
    finally:
        writer.close()
        for request in gone.keys() & asked:
            gone[request]()


async def _run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: Message) -> None:
    """Start a program, and pass on its input and output until either end is gone."""
    started: list[socket.socket] = []

    def start(message: Message) -> Mapping[str, Any]:
        started.append(start_program(message["argv"]))
        return {}

    send(writer, _reply(start, message))
    if not started:
        return
    from_program, to_program = await asyncio.open_connection(sock=started[0])
    ways = _pass_on(reader, to_program), _pass_on(from_program, writer)
    _, other = await asyncio.wait(map(asyncio.ensure_future, ways), return_when=asyncio.FIRST_COMPLETED)
    to_program.close()
    for way in other:
        way.cancel()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


def _reply(answer: Handler, message: Message) -> Mapping[str, Any]:
    try:
        return answer(message)
    except NodeError as error:
        return {"error": {"action": error.action, "cause": error.cause, "remedy": error.remedy}}
    except (HarnessError, OSError, LookupError, ValueError, TypeError) as error:
        return {"error": {"action": f"do {message.get('do')!r}", "cause": str(error), "remedy": ""}}
