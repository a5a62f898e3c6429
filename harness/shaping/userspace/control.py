"""How the engine talks to the shaper daemon: one JSON line each way over an abstract socket.

The socket is in the node's network namespace, so whoever may enter the node finds it without a path.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.errors import UnavailableError
from harness.linux.peer import peer_user
from harness.model.delivery import Delivery
from harness.model.queueing import Queue
from harness.shaping.qdisc import Branch, Netem, Tbf
from harness.shaping.userspace.control_address import ADDRESS

_START_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 30.0
"""A request may wait for a daemon that starts, which takes long where 64 containers start on two CPUs."""
_PART: Final = 1 << 16


class Refused(Exception):
    """The shaper daemon could not do what it was asked for.

    Args:
        neighbour: whose link it is about, or None.
        text: why.
    """

    def __init__(self, neighbour: int | None, text: str) -> None:
        super().__init__(text)
        self.neighbour, self.text = neighbour, text


class Conversation:
    """Requests to the shaper daemon of the current network namespace, one at a time, over a connection that is kept.

    Where the daemon ends before it has answered, it asks the next one, so a request may be carried out twice.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._line = b""
        self._waiting = False

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request without waiting. Raises UnavailableError where the daemon belongs to another user."""
        self._line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
        if self._waiting:  # the answer to an earlier request would be taken for this one's
            self.close()
        self._waiting = True
        with contextlib.suppress(OSError):  # it has ended: receive asks the next one
            self._send()

    def receive(self, files: list[int] | None = None) -> dict[str, Any]:
        """The answer; also waits for a daemon that is starting.

        Args:
            files: takes the file descriptors that come with the answer.

        Raises:
            Refused: the daemon cannot do that.
            UnavailableError: it does not run, or does not answer.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not (line := self._received(files)):
            self.close()
            if time.monotonic() > deadline:
                raise UnavailableError(
                    "the shaper daemon is not running: no packet passes; 'harness down' and 'up' again"
                )
            time.sleep(0.005)
            with contextlib.suppress(OSError):
                self._send()
        self._waiting = False
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Refused(answer.get("neighbour"), answer["error"])
        return answer

    def _send(self) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(_ANSWER_SECONDS)
            self._socket.connect(ADDRESS)
            if (uid := peer_user(self._socket)) != os.geteuid():
                self.close()
                raise UnavailableError(f"the shaper daemon belongs to user {uid}; only that user may ask it")
        self._socket.sendall(self._line)

    def _received(self, files: list[int] | None) -> bytes:
        """A line; empty where the daemon ended first. Raises UnavailableError."""
        line = b""
        try:
            while self._socket is not None and not line.endswith(b"\n"):
                if files is None:
                    data = self._socket.recv(_PART)
                else:
                    data, found, _, _ = socket.recv_fds(self._socket, _PART, 1)
                    files += found
                if not data:
                    return b""
                line += data
        except TimeoutError:
            raise UnavailableError(
                f"the shaper daemon has not answered for {_ANSWER_SECONDS:.0f} s; while it hangs, no packet passes"
            ) from None
        except OSError:
            return b""
        return line

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def ask(request: Mapping[str, Any], files: list[int] | None = None) -> dict[str, Any]:
    """One request and its answer; see Conversation."""
    with contextlib.closing(Conversation()) as conversation:
        conversation.send(request)
        return conversation.receive(files)


def send_line(connection: socket.socket, line: bytes, files: Sequence[int]) -> None:
    """Send a whole answer with file descriptors; one of a node with 600 neighbours is too large for a single send.
    Raises OSError."""
    sent = socket.send_fds(connection, [line], list(files))
    connection.sendall(line[sent:])


def may_command(connection: socket.socket) -> bool:
    """Whether the other end runs as our user: a job in a container that runs as another user may not change links."""
    return peer_user(connection) == os.geteuid()


def branch_to_json(branch: Branch) -> dict[str, Any]:
    """A branch as plain JSON, equal to what json.loads returns for it."""
    chain = branch.netem.chain
    return {
        "neighbour": branch.neighbour,
        "netem": {**vars(branch.netem), "chain": chain and list(chain)},
        "tbf": branch.tbf and vars(branch.tbf),
        "queue": branch.queue and branch.queue.to_json(),
        "buffer_bytes": branch.buffer_bytes,
        "mtu": branch.mtu,
        "delivery": branch.delivery and branch.delivery.to_json(),
    }


def branch_from_json(data: Mapping[str, Any]) -> Branch:
    """The inverse of branch_to_json."""
    netem, tbf, queue, delivery = dict(data["netem"]), data["tbf"], data["queue"], data.get("delivery")
    if netem["chain"] is not None:
        netem["chain"] = tuple(netem["chain"])
    return Branch(
        data["neighbour"],
        Netem(**netem),
        Tbf(**tbf) if tbf else None,
        Queue.from_json(queue) if queue else None,
        data["buffer_bytes"],
        mtu=data["mtu"],
        delivery=Delivery.from_json(delivery) if delivery else None,
    )
