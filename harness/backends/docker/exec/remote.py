"""A program in a container on another machine: its agent starts it, and is reached through a container here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from harness.backends.docker.daemon import DockerDaemon
from harness.backends.docker.exec.connection import ROOT, Demultiplexer, ExecSocket, control_argv
from harness.errors import NodeError

_ANSWER_SECONDS: Final = 30.0


def start_remotely(daemon: DockerDaemon, container: str, service: str, argv: Sequence[str]) -> ExecSocket:
    """Have the agent start a program; the connection is then its standard input and output.

    Args:
        daemon: a connection to it, which becomes the one to the program.
        container: that leads there.
        service: of the program's node; its rank stands at the end.
        argv: the program and its arguments. It says nothing before it is sent something.

    Raises:
        NodeError: that node cannot be reached, or does not start it.
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
    """Raises OSError, also with what came instead."""
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
