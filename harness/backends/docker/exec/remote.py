"""Starts a program in a container on another machine, by that node's agent, to which a container here connects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from harness.backends.docker.daemon import DockerDaemon
from harness.backends.docker.exec.connection import ROOT, Demultiplexer, ExecSocket, control_argv
from harness.errors import NodeError

_ANSWER_SECONDS: Final = 30.0


def start_remotely(daemon: DockerDaemon, container: str, service: str, argv: Sequence[str]) -> ExecSocket:
    """Have the agent start a program; the connection becomes its standard input and output.

    Args:
        daemon: a connection to Docker, which becomes the one to the program.
        container: the container here.
        service: of the program's node; it ends with the rank.
        argv: the program and its arguments. It must write nothing before it has read something.

    Raises:
        NodeError: the node cannot be reached, or does not start the program.
        HarnessError: the container here cannot be used.
    """
    rank = int(service.rpartition("-")[2])
    process = ExecSocket(daemon, container, ROOT, control_argv(rank), f"the container that leads to node {rank}")
    process.socket.settimeout(_ANSWER_SECONDS)
    try:
        process.socket.sendall(json.dumps({"do": "exec", "argv": list(argv)}).encode() + b"\n")
        answer = json.loads(_first_line(process))
    except (ValueError, OSError) as problem:
        raise NodeError(rank, f"start {argv[0]!r}", str(problem), f"docker service ps {service}") from None
    if "error" in answer:
        raise NodeError(rank, **answer["error"])
    process.socket.setblocking(False)
    return process


def _first_line(process: ExecSocket) -> bytes:
    """The agent's answer. Raises OSError, with the text that came instead, if any."""
    streams, said, data = Demultiplexer(), {1: b"", 2: b""}, process.early
    process.early = b""
    while True:
        for stream, piece in streams.feed(data):
            said[stream] += piece
        if said[1].endswith(b"\n"):
            return said[1]
        data = process.socket.recv(1 << 16)
        if not data:
            raise ConnectionError((said[2] or said[1]).decode(errors="replace").strip() or "the connection ended")
