"""Conversations with the agents in containers, each through a process in the container that is kept while we run."""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from harness.backends.docker.daemon import DockerDaemon
from harness.backends.docker.exec.connection import ROOT, Demultiplexer, ExecSocket, control_argv
from harness.backends.docker.http import would_block
from harness.errors import HarnessError, NodeError

_ANSWER_SECONDS: Final = 30.0
_SLOW_SECONDS: Final = 1.0
_GONE_SECONDS: Final = 15.0
"""How long a rank counts as gone where finding that out took over _SLOW_SECONDS: each request would take 5 s."""


class AgentConnection:
    """Requests to one agent and its answers. Everything raises NodeError with the node's rank.

    Args:
        rank: the node's.
        container: id of the node's container; of a node on another machine, of a container here that connects to it.
        service: the Swarm service of a node on another machine, for error messages.
    """

    def __init__(self, rank: int, container: str, service: str = "") -> None:
        self.rank, self.container, self._service = rank, container, service
        self._process: ExecSocket | None = None
        self._streams = Demultiplexer()
        self._what = "ask its agent"
        self._to_send = b""
        self._received = b""
        self._said = b""
        self._began = self._gone_until = 0.0
        self._gone: NodeError | None = None

    def open(self, daemon: DockerDaemon | None = None) -> None:
        """Start the process in the container, unless it runs; ``daemon`` is a connection for it, None: a new one."""
        if self._process is not None:
            return
        argv, whose = control_argv(), f"node {self.rank}"
        if self._service:
            argv, whose = control_argv(self.rank), f"the container that leads to node {self.rank}"
        try:
            self._process = ExecSocket(daemon or DockerDaemon(os.environ), self.container, ROOT, argv, whose)
        except OSError as problem:
            raise self._failed(problem.strerror or str(problem)) from None
        self._take(self._process.early)

    def begin(self, message: Mapping[str, Any]) -> None:
        """Begin a request, which ``step`` sends."""
        self._what, self._began = f"ask its agent to {message['do']}", time.monotonic()
        if self._gone and self._began < self._gone_until:
            raise self._failed(self._gone.cause, self._gone.remedy)
        self.open()
        self._to_send = json.dumps(message, separators=(",", ":")).encode() + b"\n"

    def register(self, poll: select.poll) -> int:
        """Have the poll wait for what ``step`` needs; returns the file descriptor."""
        assert self._process is not None
        fd = self._process.socket.fileno()
        poll.register(fd, select.POLLIN | (select.POLLOUT if self._to_send else 0))
        return fd

    def step(self, events: int) -> dict[str, Any] | None:
        """Send or receive what the poll's events allow; returns the answer once it is complete."""
        try:
            if self._to_send and events & (select.POLLOUT | select.POLLERR):
                self._send()
            if b"\n" not in self._received and events & ~select.POLLOUT:
                self._receive()
        except OSError as problem:
            if not would_block(problem):
                self.close()
                raise self._failed(problem.strerror or str(problem)) from None
        if b"\n" not in self._received:
            return None
        line, _, self._received = self._received.partition(b"\n")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:  # a message of Docker: the container has ended just as the process should start
            self.close()
            raise self._failed(line.decode(errors="replace").strip(), self._look("is its container running")) from None
        if "error" in answer:
            raise NodeError(self.rank, **answer["error"])
        return answer

    def give_up(self) -> NodeError:
        """Close the connection, so that a late answer is not taken for the next one's; returns the error to report."""
        self.close()
        return self._failed(f"no answer in {_ANSWER_SECONDS:.0f} s", self._look("is its container paused"))

    def _send(self) -> None:
        assert self._process is not None
        self._to_send = self._to_send[self._process.socket.send(self._to_send) :]

    def _receive(self) -> None:
        """Read all that has come, also what TLS has read ahead. Raises OSError, or NodeError where it has ended."""
        assert self._process is not None
        while data := self._process.socket.recv(1 << 16):
            self._take(data)
        cause = self._said.decode(errors="replace").strip() or "its container ended"
        self.close()
        failed = self._failed(
            cause, f"docker service ps {self._service}" if self._service else "see its log: docker logs"
        )
        if self._service and (now := time.monotonic()) - self._began > _SLOW_SECONDS:
            self._gone, self._gone_until = failed, now + _GONE_SECONDS
        raise failed

    def _take(self, data: bytes) -> None:
        for stream, piece in self._streams.feed(data):
            if stream == 1:
                self._received += piece
            else:
                self._said += piece

    def _look(self, question: str) -> str:
        return f"{question} (docker {f'service ps {self._service}' if self._service else 'ps'})?"

    def _failed(self, cause: str, remedy: str = "") -> NodeError:
        return NodeError(self.rank, self._what, cause, remedy)

    def close(self) -> None:
        """End the conversation."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.socket.close()
        self._process, self._streams, self._received, self._said = None, Demultiplexer(), b"", b""


_open: Final[dict[tuple[str, int], AgentConnection]] = {}
"""Connections by container and rank, kept because a command sends several requests, and opening one takes 0.1 s."""


class Agents:
    """The agents of one network.

    Args:
        containers: ids of running containers, by rank.
        ended: ids of ended ones, by rank.
        remote: services of nodes on other machines, by rank; the first running container connects to them.
    """

    def __init__(
        self,
        containers: Mapping[int, str],
        ended: Mapping[int, str] = MappingProxyType({}),
        remote: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self._ended = ended
        lines = [AgentConnection(rank, container) for rank, container in containers.items()]
        if containers:
            gate = containers[min(containers)]
            lines += [AgentConnection(rank, gate, service) for rank, service in remote.items()]
        self._lines = {line.rank: _open.setdefault((line.container, line.rank), line) for line in lines}

    @property
    def ranks(self) -> list[int]:
        """The ranks whose containers run, as far as we know."""
        return sorted(self._lines)

    def require(self, rank: int, action: str) -> None:
        """Raise NodeError, which names the action, where the node's container does not run."""
        if rank in self._lines:
            return
        if rank in self._ended:
            raise NodeError(rank, action, "its container has ended", f"docker start {self._ended[rank][:12]}")
        raise NodeError(rank, action, "its container is gone", "'harness down', or 'docker compose up' again")

    def connect(self, ranks: Iterable[int], daemon: DockerDaemon | None = None) -> None:
        """Start conversations with the first agent and with these, without waiting; ``ask`` reports errors.

        Args:
            ranks: of the others; it ignores those without a running container.
            daemon: a connection that the first agent takes over.
        """
        for rank in dict.fromkeys([*self.ranks[:1], *ranks]):
            if rank in self._lines:
                with contextlib.suppress(HarnessError):
                    self._lines[rank].open(daemon)
                daemon = None

    def ask(self, messages: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any] | HarnessError]:
        """Send requests to several agents at once; returns answers and errors, by rank."""
        answers: dict[int, dict[str, Any] | HarnessError] = {}
        waiting: dict[int, AgentConnection] = {}
        for rank, message in messages.items():
            try:
                self.require(rank, f"ask its agent to {message['do']}")
                self._lines[rank].begin(message)
                waiting[rank] = self._lines[rank]
            except HarnessError as error:
                answers[rank] = error
        deadline = time.monotonic() + _ANSWER_SECONDS
        while waiting:
            poll = select.poll()
            ranks = {line.register(poll): rank for rank, line in waiting.items()}
            ready = poll.poll(max(deadline - time.monotonic(), 0) * 1000)
            if not ready:
                answers |= {rank: line.give_up() for rank, line in waiting.items()}
                break
            for fd, events in ready:
                rank = ranks[fd]
                try:
                    answer: dict[str, Any] | HarnessError | None = waiting[rank].step(events)
                except HarnessError as error:
                    answer = error
                if answer is not None:
                    answers[rank] = answer
                    del waiting[rank]
        return {rank: answers[rank] for rank in messages}

    def close(self) -> None:
        """End all conversations."""
        for line in self._lines.values():
            line.close()
