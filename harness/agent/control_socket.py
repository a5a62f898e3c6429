"""The agent's local socket: where the command line outside speaks with it, through ``docker exec``.

It is an abstract socket in the container's network namespace, and listens to root only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from harness.agent.protocol import LONGEST, Message, received, send
from harness.errors import HarnessError, NodeError
from harness.linux.peer import peer_user

ADDRESS: Final = "\0tc-harness-agent"

Handler = Callable[[Message], Mapping[str, Any]]


async def open_control_socket(answer: Handler, gone: Mapping[str, Callable[[], None]]) -> asyncio.Server:
    """Listen.

    Args:
        answer: what to say to a request; its errors are part of the reply.
        gone: what to do where a visitor leaves, by what it has asked for: to ``hold`` the network, to ``pause`` it.

    Raises:
        OSError: there is an agent already.
    """

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = set()
        try:
            if peer_user(writer.get_extra_info("socket")) == os.geteuid():
                async for message in received(reader):
                    asked.add(message.get("do"))
                    send(writer, _reply(answer, message))
        finally:
            writer.close()
            for request in gone.keys() & asked:
                gone[request]()

    return await asyncio.start_unix_server(visit, ADDRESS, limit=LONGEST)


def _reply(answer: Handler, message: Message) -> Mapping[str, Any]:
    try:
        return answer(message)
    except NodeError as error:
        return {"error": {"action": error.action, "cause": error.cause, "remedy": error.remedy}}
    except (HarnessError, OSError, LookupError, ValueError, TypeError) as error:
        return {"error": {"action": f"do {message.get('do')!r}", "cause": str(error), "remedy": ""}}
