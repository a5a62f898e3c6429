"""HTTP/1.1 (RFC 9112) over a connected socket, as far as Docker daemons use it.

Every command and every program in a container needs it, sixteen at once, and ``import http.client`` and ssl take 20 ms
of a core, this 2 ms.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """An answer.

    Args:
        status: e.g. 200.
        headers: by lower-case name.
        body: the whole body; where the connection became a stream, the part of the stream that has come.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpConnection:
    """Sends one request after the other. Everything raises OSError, and ValueError for an answer that is not HTTP.

    Args:
        connected: to the server, with a timeout.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._data = b""

    def request(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], *, stream: bool = False
    ) -> Answer:
        """Send a request and wait for its answer.

        Args:
            method: e.g. GET.
            target: path and query.
            body: of the request.
            headers: beside Host and Content-Length.
            stream: whether the connection becomes a stream unless the answer is an error.
        """
        length = {} if body is None else {"Content-Length": str(len(body))}
        lines = [f"{name}: {value}" for name, value in {"Host": "docker", **length, **headers}.items()]
        head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""])
        self.socket.sendall(head.encode() + (body or b""))
        first, *fields = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, *_ = [*first.split(" ", 2), ""]
        if not version.startswith("HTTP/1."):
            raise ValueError(f"it says {first[:40]!r}")
        named = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        if stream and int(status) < 300:
            rest, self._data = self._data, b""
        else:
            rest = self._body(named)
        return Answer(int(status), named, rest)

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self._exactly(int(headers.get("content-length", "0")))
        parts = []
        while size := int(self._until(b"\r\n").partition(b";")[0], 16):
            parts.append(self._exactly(size))
            self._until(b"\r\n")
        while self._until(b"\r\n"):  # trailers
            pass
        return b"".join(parts)

    def _until(self, end: bytes) -> bytes:
        while end not in self._data:
            self._more()
        found, _, self._data = self._data.partition(end)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            self._more()
        found, self._data = self._data[:size], self._data[size:]
        return found

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("it ended the connection")
        self._data += data


def would_block(problem: OSError) -> bool:
    """Whether an error only means that a socket, perhaps with TLS, is not ready. Does not import ssl."""
    return isinstance(problem, BlockingIOError) or type(problem).__name__ in ("SSLWantReadError", "SSLWantWriteError")
