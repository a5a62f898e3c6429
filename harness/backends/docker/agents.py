"""Conversations with the agents in containers: one process per node that passes lines on, kept while we run."""

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
"""How long a rank that took _SLOW_SECONDS to be found gone counts as that: each further request would take 5 s."""


class AgentConnection:
    """Requests to one agent and its answers. Everything raises NodeError with the node's rank.

    Args:
        rank: the node's.
        container: its id; of a node on another machine, that of one here, which leads there.
        service: the Swarm service of a node on another machine, for what the user can look at.
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
        """Start the process in the container, unless it runs; by this connection, or a new one."""
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
        """Have a request that ``step`` sends."""
        self._what, self._began = f"ask its agent to {message['do']}", time.monotonic()
        if self._gone and self._began < self._gone_until:
            raise self._failed(self._gone.cause, self._gone.remedy)
        self.open()
        self._to_send = json.dumps(message, separators=(",", ":")).encode() + b"\n"

    def register(self, poll: select.poll) -> int:
        """Have the poll wait for what ``step`` needs; the file descriptor."""
        assert self._process is not None
        fd = self._process.socket.fileno()
        poll.register(fd, select.POLLIN | (select.POLLOUT if self._to_send else 0))
        return fd

    def step(self, events: int) -> dict[str, Any] | None:
        """Do what the poll says can be done; the answer, once it is whole."""
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
        except ValueError:  # Docker's own words, where the container ends just when the process should start
            self.close()
            raise self._failed(line.decode(errors="replace").strip(), self._look("is its container running")) from None
        if "error" in answer:
            raise NodeError(self.rank, **answer["error"])
        return answer

    def give_up(self) -> NodeError:
        """End the conversation, for what comes later is no answer to the next request; the error to report."""
        self.close()
        return self._failed(f"no answer in {_ANSWER_SECONDS:.0f} s", self._look("is its container paused"))

    def _send(self) -> None:
        assert self._process is not None
        self._to_send = self._to_send[self._process.socket.send(self._to_send) :]

    def _receive(self) -> None:
        """Take all that has come, also what TLS has read ahead. Raises OSError, NodeError where no more can come."""
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
"""By container and rank: a command asks for the state of a network, and then for a change; to begin takes 0.1 s."""


class Agents:
    """The agents of one network.

    Args:
        containers: by rank, those that run.
        ended: by rank, those that do not.
        remote: by rank, the services of those on other machines, which are reached through the first of these.
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
        """The ranks that have a container that runs, as far as it is known."""
        return sorted(self._lines)

    def require(self, rank: int, action: str) -> None:
        """Raise NodeError where the node's container does not run: what cannot be done, and how to fix it."""
        if rank in self._lines:
            return
        if rank in self._ended:
            raise NodeError(rank, action, "its container has ended", f"docker start {self._ended[rank][:12]}")
        raise NodeError(rank, action, "its container is gone", "'harness down', or 'docker compose up' again")

    def connect(self, ranks: Iterable[int], daemon: DockerDaemon | None = None) -> None:
        """Begin to talk to the first agent and to these, without waiting; what fails is reported when they are asked.

        Args:
            ranks: of the others; one without a container is passed over.
            daemon: a connection that the first agent takes over.
        """
        for rank in dict.fromkeys([*self.ranks[:1], *ranks]):
            if rank in self._lines:
                with contextlib.suppress(HarnessError):
                    self._lines[rank].open(daemon)
                daemon = None

    def ask(self, messages: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any] | HarnessError]:
        """Ask several at once; an error is an answer."""
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
