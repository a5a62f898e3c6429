"""A process in a container, and the connection to its standard streams."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.backends.docker.daemon import DockerDaemon, DockerRefusal
from harness.errors import HarnessError, PrivilegeError

ROOT: Final = "0:0"
"""Who alone may talk to agents."""
CONTROL_CLIENT: Final = Path(__file__).with_name("control_client.py").read_text()


def control_argv(rank: int | None = None) -> list[str]:
    """What joins standard input and output with the agent of a container, or of that rank on another machine."""
    return ["python3", "-I", "-S", "-c", CONTROL_CLIENT, *([] if rank is None else [str(rank)])]


class Demultiplexer:
    """Takes apart what Docker sends: stream (1 byte, 1 output, 2 errors), 3 zeros, length (4 bytes), bytes."""

    def __init__(self) -> None:
        self._header, self._stream, self._left = b"", 0, 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Stream and bytes, in order."""
        pieces, view = [], memoryview(data)
        while view:
            if not self._left:
                missing = 8 - len(self._header)
                self._header, view = self._header + bytes(view[:missing]), view[missing:]
                if len(self._header) == 8:
                    self._stream, self._left = struct.unpack(">BxxxL", self._header)
                    self._header = b""
                continue
            piece, view = bytes(view[: self._left]), view[self._left :]
            self._left -= len(piece)
            pieces.append((self._stream, piece))
        return pieces


class ExecSocket:
    """A process in a container and the connection to its standard streams, multiplexed by Docker.

    Args:
        daemon: a connection to it, which becomes the one to the streams.
        container: name or id.
        user: ``uid:gid`` in the container.
        argv: the program and its arguments.
        whose: what messages call the container, e.g. ``"node 1"``; None: by its id.

    Raises:
        UnavailableError: the daemon does not answer.
        PrivilegeError, HarnessError: it refused.
    """

    def __init__(
        self, daemon: DockerDaemon, container: str, user: str, argv: Sequence[str], whose: str | None = None
    ) -> None:
        self._daemon = daemon
        streams = {f"Attach{name}": True for name in ("Stdin", "Stdout", "Stderr")}
        create = {**streams, "Tty": False, "User": user, "Cmd": list(argv)}
        try:
            self._id: str = self._daemon.ask("POST", f"/containers/{container}/exec", create)["Id"]
            start = {"Detach": False, "Tty": False}
            stream, self.early = self._daemon.upgrade(f"/exec/{self._id}/start", start)
        except DockerRefusal as refusal:
            raise _explained(refusal, whose or f"container {container[:12]}", self._daemon.host) from None
        self.socket: socket.socket = stream

    def exit_code(self) -> int | None:
        """Of the process as the daemon knows it; None where it still runs. Raises HarnessError."""
        code: int | None = DockerDaemon(self._daemon.environ).ask("GET", f"/exec/{self._id}/json")["ExitCode"]
        return code


def _explained(refusal: DockerRefusal, whose: str, host: str) -> HarnessError:
    what, cause = f"{whose}: ", refusal.cause
    if refusal.status == 404:
        return HarnessError(f"{what}it is gone ({cause}); run 'harness ls'")
    if refusal.status == 409:
        remedy = "run 'docker unpause'" if "paused" in cause else "start its network again"
        return HarnessError(f"{what}{cause}; {remedy}")
    if refusal.status in (401, 403):
        return PrivilegeError(f"{what}Docker at {host} does not let us start a program in it: {cause}")
    return HarnessError(f"{what}Docker cannot start a program in it: {cause}")
