"""How the engine talks to the shaper daemon: one JSON line each way over an abstract socket.

The socket is in the network namespace of the node, so that whoever may enter the node finds it, nobody needs a path,
and it vanishes with the process.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

from harness.errors import UnavailableError
from harness.linux.peer import peer_user
from harness.model.queueing import Queue
from harness.shaping.qdisc import Branch, Netem, Tbf
from harness.shaping.userspace.control_address import ADDRESS

_START_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 10.0


class Refused(Exception):
    """The shaper daemon could not do what it was asked for.

    Args:
        neighbour: the neighbour whose link it is about, or None.
        text: why.
    """

    def __init__(self, neighbour: int | None, text: str) -> None:
        super().__init__(text)
        self.neighbour, self.text = neighbour, text


def ask(request: Mapping[str, Any], files: list[int] | None = None) -> dict[str, Any]:
    """Send a request to the process of the current network namespace; its answer.

    Args:
        request: what to do.
        files: takes the file descriptors that come with the answer.

    Waits for a process that is being started, and asks the next one where it ends before it has answered: a request
    may be carried out twice.

    Raises:
        Refused: it cannot do that.
        UnavailableError: it does not run, or does not answer.
    """
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            line = _asked(json.dumps(request, separators=(",", ":")).encode() + b"\n", files)
        except TimeoutError:
            raise UnavailableError(
                f"the shaper daemon has not answered for {_ANSWER_SECONDS:.0f} s; while it stands still"
                " no packet passes"
            ) from None
        except OSError:
            line = b""
        if line:
            break
        if time.monotonic() > deadline:
            raise UnavailableError("the shaper daemon does not run: no packet passes; 'harness down' and 'up' again")
        time.sleep(0.005)
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise Refused(answer.get("neighbour"), answer["error"])
    return answer


def _asked(line: bytes, files: list[int] | None) -> bytes:
    """The answer to one line; empty where the process ended first. Raises OSError, UnavailableError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(ADDRESS)
        if (uid := peer_user(connection)) != os.geteuid():
            raise UnavailableError(f"the shaper daemon belongs to user {uid}; only that user may ask it")
        connection.sendall(line)
        begun = b""
        if files is not None:
            begun, files[:], _, _ = socket.recv_fds(connection, 1 << 16, 1)
        with connection.makefile("rb") as answers:
            return begun if begun.endswith(b"\n") else begun + answers.readline()


def may_command(connection: socket.socket) -> bool:
    """Whether who connected runs as our user: a job in a container that runs as another may not change its links."""
    return peer_user(connection) == os.geteuid()


def branch_to_json(branch: Branch) -> dict[str, Any]:
    """A branch as plain JSON."""
    return {
        "neighbour": branch.neighbour,
        "netem": vars(branch.netem),
        "tbf": branch.tbf and vars(branch.tbf),
        "queue": branch.queue and branch.queue.to_json(),
        "buffer_bytes": branch.buffer_bytes,
        "mtu": branch.mtu,
    }


def branch_from_json(data: Mapping[str, Any]) -> Branch:
    """The inverse of branch_to_json."""
    netem, tbf, queue = dict(data["netem"]), data["tbf"], data["queue"]
    if netem["chain"] is not None:
        netem["chain"] = tuple(netem["chain"])
    return Branch(
        data["neighbour"],
        Netem(**netem),
        Tbf(**tbf) if tbf else None,
        Queue.from_json(queue) if queue else None,
        data["buffer_bytes"],
        mtu=data["mtu"],
    )
