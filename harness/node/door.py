"""The agent's local socket: where the command line outside speaks with it, through ``docker exec``.

It is an abstract socket in the container's network namespace, and listens to root only.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from harness.errors import HarnessError, NodeError
from harness.node.letters import LONGEST, Letter, received, send

ADDRESS: Final = "\0tc-harness-agent"

Answer = Callable[[Letter], Mapping[str, Any]]


def knock() -> None:
    """Connect standard input and output with the agent of this container: what runs in the container.

    Its source is sent there (``python3 -c``), so it needs no module of ours.
    """
    import os
    import socket
    import sys
    import threading

    door = socket.socket(socket.AF_UNIX)
    try:
        door.connect("\0tc-harness-agent")
    except OSError as problem:
        sys.exit(f"its agent does not answer ({problem.strerror})")

    def listen() -> None:
        while data := door.recv(1 << 16):
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while data := os.read(0, 1 << 16):
        door.sendall(data)


KNOCK: Final = inspect.getsource(knock) + "knock()\n"


async def open_door(answer: Answer, gone: Callable[[], None]) -> asyncio.Server:
    """Listen.

    Args:
        answer: what to say to a request; its errors are told.
        gone: called where a visitor who asked to ``hold`` the network leaves without having said ``keep``.

    Raises:
        OSError: there is an agent already.
    """

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        holds = False
        if _user(writer.get_extra_info("socket")) == os.geteuid():
            async for letter in received(reader):
                holds = letter["do"] == "hold" or (holds and letter["do"] != "keep")
                send(writer, _answered(answer, letter))
        writer.close()
        if holds:
            gone()

    return await asyncio.start_unix_server(visit, ADDRESS, limit=LONGEST)


def _answered(answer: Answer, letter: Letter) -> Mapping[str, Any]:
    try:
        return answer(letter)
    except NodeError as error:
        return {"error": {"action": error.action, "cause": error.cause, "remedy": error.remedy}}
    except (HarnessError, OSError, LookupError, ValueError, TypeError) as error:
        return {"error": {"action": f"do {letter.get('do')!r}", "cause": str(error), "remedy": ""}}


def _user(connection: socket.socket) -> int:
    uid: int = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    return uid
