"""Forwards this process's standard streams and signals to and from shim.py in a container, as frames."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.backends.docker.exec import shim
from harness.backends.docker.exec.connection import Demultiplexer
from harness.backends.docker.exec.shim import frame
from harness.backends.docker.http import would_block
from harness.errors import UnavailableError

SHIM: Final = Path(shim.__file__).read_bytes()
BOOT: Final = f"import os;n={len(SHIM)};t=b''\nwhile len(t)<n:t+=os.read(0,n-len(t)) or os._exit(0)\nexec(t)"
"""What Python runs in the container: it reads the shim from standard input and executes it."""
_FORWARDED: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_PAGE: Final = 4096
"""Bytes that a ready pipe takes without blocking."""
_ENOUGH: Final = 1 << 18
"""Bytes of output that may wait here for their reader."""


class StreamForwarder:
    """Copies between our standard streams and the shim's frames.

    Args:
        connection: to the shim.
        early: what has already come from it.
        terminal: whether our input is a terminal in raw mode.
    """

    def __init__(self, connection: socket.socket, early: bytes, terminal: bool) -> None:
        self._socket, self._early, self.terminal = connection, early, terminal
        self._docker, self._frames = Demultiplexer(), shim.Frames()
        self._said: bytearray | None = bytearray()
        self._to_send = bytearray()
        self._outputs = {1: bytearray(), 2: bytearray()}
        self._unread: set[int] = set()
        self._window, self._input_open, self._open = shim.WINDOW, True, True
        self.code: int | None = None

    def start(self, argv: Sequence[str], env: Mapping[str, str], cwd: str | None) -> None:
        """Send the shim, and what it must start."""
        self._to_send += SHIM
        tty = _size() if self.terminal else None
        variables = {**env, "TERM": os.environ.get("TERM", "xterm")} if tty else env
        start = {"argv": list(argv), "env": dict(variables), "cwd": cwd, "tty": tty}
        self._to_send += frame(shim.START, json.dumps(start).encode())

    def run(self) -> None:
        """Run until the connection, or the program and its output, have ended. Raises UnavailableError."""
        wake, ring = os.pipe()
        os.set_blocking(ring, False)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        for number in (*_FORWARDED, *([signal.SIGWINCH] if self.terminal else [])):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
        self._receive(self._early)
        while (self._open and self.code is None) or any(self._outputs.values()):
            self._step(wake)
        if self._said is not None:
            said = self._said.decode(errors="replace").strip() or "it ended at once"
            raise UnavailableError(f"cannot run python3 in the container: {said}; its image needs Python 3.8 or newer")

    def _step(self, wake: int) -> None:
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        for fd, waiting in self._outputs.items():
            if waiting:
                poll.register(fd, select.POLLOUT)
        hears = self._open and max(map(len, self._outputs.values())) < _ENOUGH
        if self._open and (hears or self._to_send):
            events = (select.POLLIN if hears else 0) | (select.POLLOUT if self._to_send else 0)
            poll.register(self._socket, events)
        if self._open and self._input_open and self._window and len(self._to_send) < shim.CHUNK:
            poll.register(0, select.POLLIN)
        decrypted = hears and hasattr(self._socket, "pending") and self._socket.pending()  # TLS has read ahead
        ready = dict(poll.poll(0 if decrypted else None))
        for fd in self._outputs:
            if fd in ready:
                self._write(fd)
        if wake in ready:
            for number in os.read(wake, _PAGE):
                self._signal(number)
        if 0 in ready:
            self._read_input()
        events = ready.get(self._socket.fileno(), 0) if self._open else 0
        if self._to_send and events & ~select.POLLIN:
            self._send()
        if decrypted or events & ~select.POLLOUT:
            self._read_socket()

    def _signal(self, number: int) -> None:
        if number == signal.SIGWINCH:
            size = _size()
            self._to_send += frame(shim.SIZE, struct.pack("2H", size["rows"], size["cols"]))
        else:
            self._to_send += frame(shim.SIGNAL, bytes([number]))

    def _read_input(self) -> None:
        try:
            data = os.read(0, min(self._window, shim.CHUNK))
        except OSError:  # closed, or a terminal that hung up
            data = b""
        self._window -= len(data)
        self._input_open = bool(data)
        self._to_send += frame(shim.DATA, data) if data else frame(shim.EOF)

    def _send(self) -> None:
        try:
            del self._to_send[: self._socket.send(self._to_send[: shim.CHUNK])]
        except OSError as problem:
            if not would_block(problem):
                self._to_send.clear()

    def _read_socket(self) -> None:
        try:
            data = self._socket.recv(shim.CHUNK)
        except OSError as problem:
            if would_block(problem):
                return
            data = b""
        self._open = bool(data)
        self._receive(data)

    def _receive(self, data: bytes) -> None:
        for stream, piece in self._docker.feed(data):
            if stream != 1:
                self._put(2, piece)
                continue
            if self._said is not None:
                self._said += piece
                ready = frame(shim.READY)
                if not self._said.startswith(ready):
                    continue
                piece, self._said = bytes(self._said), None
            for kind, payload in self._frames.feed(piece):
                self._obey(kind, payload)

    def _obey(self, kind: bytes, payload: bytes) -> None:
        if kind == shim.STDOUT:
            self._put(1, payload)
        elif kind == shim.STDERR:
            self._put(2, payload)
        elif kind == shim.TAKEN:
            self._window += struct.unpack("!I", payload)[0]
        elif kind == shim.CLOSED and self._input_open:
            self._input_open = False
            if not self.terminal:
                null = os.open(os.devnull, os.O_RDONLY)
                os.dup2(null, 0)  # so that whoever writes to us notices
                os.close(null)
        elif kind == shim.EXIT:
            self.code = payload[0]

    def _put(self, fd: int, data: bytes) -> None:
        if fd not in self._unread:
            self._outputs[fd] += data

    def _write(self, fd: int) -> None:
        waiting = self._outputs[fd]
        try:
            del waiting[: os.write(fd, waiting[:_PAGE])]
        except BlockingIOError:  # another process has made it non-blocking
            return
        except OSError:
            waiting.clear()
            self._unread.add(fd)
            self._to_send += frame(shim.CLOSED, shim.STDOUT if fd == 1 else shim.STDERR)


def _size() -> dict[str, int]:
    columns, rows = os.get_terminal_size(1)
    return {"rows": rows, "cols": columns}
