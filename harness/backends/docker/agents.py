"""Conversations with the agents in containers: one process per node that passes lines on, kept while we run."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from harness.backends.docker.exec import control_client
from harness.backends.docker.exec.connection import ExecSocket
from harness.backends.docker.exec.streams import Demultiplexer
from harness.errors import HarnessError, NodeError

ROOT: Final = "0:0"
CONTROL_CLIENT: Final = Path(control_client.__file__).read_text()
"""What Python runs in the container."""
_AT_ONCE: Final = 16
_ANSWER_SECONDS: Final = 30.0


class AgentConnection:
    """Requests to one agent and its answers. Raises NodeError with the node's rank.

    Args:
        rank: the node's.
        container: its id.
    """

    def __init__(self, rank: int, container: str) -> None:
        self._rank, self._container = rank, container
        self._process: ExecSocket | None = None
        self._streams = Demultiplexer()
        self._lines = b""
        self._said = b""

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and wait for the answer. Raises NodeError."""
        what = f"ask its agent to {message['do']}"
        try:
            if self._process is None:
                knocker = ["python3", "-I", "-S", "-c", CONTROL_CLIENT]
                self._process = ExecSocket(os.environ, self._container, ROOT, knocker, f"node {self._rank}")
                self._take(self._process.early)
            data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
            answer: dict[str, Any] = json.loads(self._exchange(self._process.socket, data, what))
        except OSError as problem:
            raise NodeError(self._rank, what, problem.strerror or str(problem)) from None
        if "error" in answer:
            raise NodeError(self._rank, **answer["error"])
        return answer

    def _exchange(self, connection: socket.socket, data: bytes, what: str) -> bytes:
        deadline = time.monotonic() + _ANSWER_SECONDS
        rest = memoryview(data)
        while b"\n" not in self._lines:
            left = deadline - time.monotonic()
            poll = select.poll()
            poll.register(connection, select.POLLIN | (select.POLLOUT if rest else 0))
            events = sum(ready for _, ready in poll.poll(max(left, 0) * 1000))
            if not events:
                self.close()  # what it answers later is no answer to the next request
                raise NodeError(
                    self._rank, what, f"no answer in {_ANSWER_SECONDS:.0f} s", "is its container paused (docker ps)?"
                )
            if rest and events & (select.POLLOUT | select.POLLERR):
                with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
                    rest = rest[connection.send(rest) :]
            if events & ~select.POLLOUT and not self._receive(connection):
                self.close()
                cause = self._said.decode(errors="replace").strip() or "its container ended"
                raise NodeError(self._rank, what, cause, "see its log: docker logs")
        line, _, self._lines = self._lines.partition(b"\n")
        return line

    def _receive(self, connection: socket.socket) -> bool:
        """Take all that has come, also what TLS has read ahead; whether more can come."""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            while data := connection.recv(1 << 16):
                self._take(data)
            return False
        return True

    def _take(self, data: bytes) -> None:
        for stream, piece in self._streams.feed(data):
            if stream == 1:
                self._lines += piece
            else:
                self._said += piece

    def close(self) -> None:
        """End the conversation."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.socket.close()
            self._process = None


_open: Final[dict[str, AgentConnection]] = {}
"""By container: a command asks for the state of a network, and then for a change; to begin takes 0.1 s."""


class Agents:
    """The agents of one network.

    Args:
        containers: by rank, those that run.
        ended: by rank, those that do not.
    """

    def __init__(self, containers: Mapping[int, str], ended: Mapping[int, str] = MappingProxyType({})) -> None:
        self._ended = ended
        self._lines = {rank: _open.setdefault(c, AgentConnection(rank, c)) for rank, c in containers.items()}

    @property
    def ranks(self) -> list[int]:
        """The ranks that have a container that runs."""
        return sorted(self._lines)

    def require(self, rank: int, action: str) -> None:
        """Raise NodeError where the node's container does not run: what cannot be done, and how to fix it."""
        if rank in self._lines:
            return
        if rank in self._ended:
            raise NodeError(rank, action, "its container has ended", f"docker start {self._ended[rank][:12]}")
        raise NodeError(rank, action, "its container is gone", "'harness down', or 'docker compose up' again")

    def ask(self, messages: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any] | HarnessError]:
        """Ask several at once; an error is an answer."""

        def one(rank: int) -> dict[str, Any] | HarnessError:
            try:
                self.require(rank, f"ask its agent to {messages[rank]['do']}")
                return self._lines[rank].ask(messages[rank])
            except HarnessError as error:
                return error

        if len(messages) == 1:
            return {rank: one(rank) for rank in messages}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(messages, pool.map(one, messages), strict=True))

    def close(self) -> None:
        """End all conversations."""
        for line in self._lines.values():
            line.close()
