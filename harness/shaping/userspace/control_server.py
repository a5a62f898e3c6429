"""The control sockets of a shaper daemon's nodes: it reads requests and sends answers; see control.py."""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from harness.shaping.userspace import control
from harness.shaping.userspace.node_queues import NodeQueues
from harness.shaping.userspace.supervisor import MAX_CONVERSATIONS

Answer = Callable[[NodeQueues, Mapping[str, Any]], dict[str, Any]]


class Sources:
    """File descriptors, and what to call when they can be read."""

    def __init__(self) -> None:
        self.poll = select.epoll()
        self.handlers: dict[int, Callable[[], None]] = {}

    def add(self, fd: int, handle: Callable[[], None]) -> None:
        """Watch a file descriptor."""
        self.handlers[fd] = handle
        self.poll.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        """Watch it no more; to be called before it is closed."""
        self.poll.unregister(fd)
        del self.handlers[fd]


class ControlServer:
    """Accepts connections of our own user and answers their requests.

    Args:
        sources: where it has its sockets watched.
        answer: makes the answer to a node's request.
        state: file descriptor of the daemon's state, sent with the answers that name slots in it.
    """

    def __init__(self, sources: Sources, answer: Answer, state: int) -> None:
        self._sources, self._answer, self._state = sources, answer, state
        self._conversations: list[socket.socket] = []

    def listen(self, node: NodeQueues, listener: socket.socket) -> None:
        """Serve a node's control socket."""
        self._sources.add(listener.fileno(), lambda: self._accept(node, listener))

    def _accept(self, node: NodeQueues, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            if not control.may_command(connection):
                connection.close()
                return
            connection.setblocking(False)
            self._sources.add(connection.fileno(), partial(self._serve, node, connection, bytearray()))
            self._conversations.append(connection)
            if len(self._conversations) > MAX_CONVERSATIONS:
                self._hang_up(self._conversations[0])  # a client that still needs it connects again

    def _hang_up(self, connection: socket.socket) -> None:
        self._sources.remove(connection.fileno())
        self._conversations.remove(connection)
        connection.close()

    def _serve(self, node: NodeQueues, connection: socket.socket, pending: bytearray) -> None:
        try:
            data = connection.recv(1 << 20)
            pending += data
            if data:
                if pending.endswith(b"\n"):
                    answer = self._answer(node, json.loads(pending))
                    pending.clear()
                    line = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
                    connection.settimeout(1)
                    control.send_line(connection, line, [self._state] if "first" in answer else [])
                return
        except (OSError, ValueError):
            pass
        self._hang_up(connection)
