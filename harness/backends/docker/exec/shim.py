"""Runs a program in a container for client.py, which sends this file's text ahead of the frames.

Frames come on standard input and go out on standard output: kind (1 byte), length (4 bytes, big-endian), payload.

    in   s start {argv, env, cwd, tty}   d standard input   e its end       k signal (1 byte)   w rows, columns
         c nobody reads this output any more (o or e)
    out  r ready      o, e output        a bytes of input taken (4 bytes)   c nobody reads the input any more
         x exit code (1 byte), always the last

At most WINDOW bytes of input may be in flight, so that signals do not wait behind them. When standard input is closed
the client is gone, and the shim kills the program's session. It needs only the standard library of Python 3.8, and few
modules of that, to start fast.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import struct
import termios
import time

WINDOW = 1 << 18
CHUNK = 1 << 16
READY, START, DATA, EOF, SIGNAL, SIZE, CLOSED = b"r", b"s", b"d", b"e", b"k", b"w", b"c"
STDOUT, STDERR, TAKEN, EXIT = b"o", b"e", b"a", b"x"
_HEADER = struct.Struct("!cI")
_LONGEST = 1 << 24
_QUIET_S, _DRAIN_S, _PIPE = 1.0, 5.0, 1 << 20


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame."""
    return _HEADER.pack(kind, len(payload)) + payload


class Frames:
    """Cuts a stream into frames."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Kind and payload of the frames that are complete now. Raises ValueError."""
        self._data += data
        whole = []
        while len(self._data) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._data)
            if length > _LONGEST:
                raise ValueError(f"no frame: {bytes(self._data[:80])!r}")
            end = _HEADER.size + length
            if len(self._data) < end:
                break
            whole.append((kind, bytes(self._data[_HEADER.size : end])))
            del self._data[:end]
        return whole


class ClientGone(Exception):
    """The client has closed the connection."""


class ShimProgram:
    """A program in a session of its own, on three pipes or on a terminal. Raises OSError."""

    def __init__(self, argv: list[bytes], env: dict[bytes, bytes], tty: dict[str, int] | None) -> None:
        problem, report = os.pipe()
        pipes = [] if tty else [os.pipe() for _ in range(3)]
        self.pid, self.stdin = os.forkpty() if tty else (os.fork(), -1)
        if self.pid == 0:
            try:
                if tty:
                    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", tty["rows"], tty["cols"], 0, 0))
                else:
                    os.setsid()
                    for fd, ends in enumerate(pipes):
                        os.dup2(ends[fd > 0], fd)
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                os.execvpe(argv[0], argv, env)
            except OSError as error:
                os.write(report, str(error.errno).encode())
            finally:
                os._exit(1)
        os.close(report)
        if tty:
            self.outputs = {os.dup(self.stdin): STDOUT}
        else:
            for fd, ends in enumerate(pipes):
                os.close(ends[fd > 0])
            self.stdin, self.outputs = pipes[0][1], {pipes[1][0]: STDOUT, pipes[2][0]: STDERR}
        os.set_blocking(self.stdin, False)
        number = os.read(problem, 16)
        os.close(problem)
        if number:
            os.waitpid(self.pid, 0)
            raise OSError(int(number), os.strerror(int(number)))

    def kill_session(self) -> None:
        """Kill all processes of its session."""
        for _ in range(100):
            alive = False
            for entry in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{entry}/stat", "rb") as stat:
                        state, _, _, session = stat.read().rpartition(b")")[2].split()[:4]
                    if int(session) == self.pid and state not in b"ZX":
                        alive = True
                        os.kill(int(entry), signal.SIGKILL)
                except (OSError, ValueError):
                    continue
            if not alive:
                return
            time.sleep(0.01)


class Shim:
    """One program and its client."""

    def __init__(self) -> None:
        self._frames, self._program, self._tty = Frames(), None, False  # type: Frames, ShimProgram | None, bool
        self._input, self._input_ends = bytearray(), False
        self._out = bytearray(frame(READY))
        self._code, self._since_end, self._deadline = -1, 0, 0.0
        self._child, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        os.set_blocking(1, False)

    def serve(self) -> int:
        """Run until the program has ended and the client is gone; returns the exit code."""
        try:
            while not self._drained():
                self._step(
                    None if self._code < 0 or self._out else min(_QUIET_S, max(0, self._deadline - time.monotonic()))
                )
            self._out += frame(EXIT, bytes([self._code]))
            self._input.clear()
            while True:
                self._step(None)
        except ClientGone:
            return max(self._code, 0)
        finally:
            if self._program and self._code < 0:
                self._program.kill_session()

    def _drained(self) -> bool:
        """Whether the program has ended and all its output has come, or only other processes keep that open."""
        if self._code < 0 or self._out:
            return False
        late = time.monotonic() > self._deadline and self._since_end > 2 * _PIPE
        return late or not (self._program and self._program.outputs)

    def _step(self, quiet: float | None) -> None:
        """Wait for an event and handle it; without one in ``quiet`` seconds, stop reading the program's output."""
        poll, program = select.poll(), self._program
        poll.register(0, select.POLLIN)
        poll.register(self._child, select.POLLIN)
        if self._out:
            poll.register(1, select.POLLOUT)
        elif program:
            for fd in program.outputs:
                poll.register(fd, select.POLLIN)
        if program and program.stdin >= 0:
            poll.register(program.stdin, select.POLLOUT if self._input else 0)
        ready = dict(poll.poll(None if quiet is None else int(quiet * 1000)))
        if program and not ready and quiet is not None:
            program.outputs.clear()
        if program and program.stdin in ready:
            self._write_input(program)
        for fd in [fd for fd in ready if program and fd in program.outputs]:
            self._read_output(fd)
        if self._child in ready:
            os.read(self._child, CHUNK)
            self._reap()
        if 1 in ready:
            self._write_out()
        if 0 in ready:
            try:
                data = os.read(0, CHUNK)
            except OSError:  # a connection that was reset
                data = b""
            if not data:
                raise ClientGone
            for kind, payload in self._frames.feed(data):
                self._obey(kind, payload)

    def _obey(self, kind: bytes, payload: bytes) -> None:
        program = self._program
        if kind == START:
            self._start(**json.loads(payload))
        elif not program or self._code >= 0:
            return
        elif kind == DATA:
            self._input += payload
        elif kind == EOF:
            self._input_ends = True
            if self._tty:
                self._input += b"\4"
            elif not self._input:
                self._close_input(program)
        elif kind == SIGNAL:
            with contextlib.suppress(OSError):
                os.killpg(program.pid, payload[0])
                os.killpg(program.pid, signal.SIGCONT)  # so that a paused program handles it
        elif kind == SIZE and self._tty and program.stdin >= 0:
            fcntl.ioctl(program.stdin, termios.TIOCSWINSZ, payload + bytes(4))
        elif kind == CLOSED:
            for fd in [fd for fd, which in program.outputs.items() if which == payload]:
                os.close(fd)
                del program.outputs[fd]

    def _start(self, argv: list[str], env: dict[str, str], cwd: str | None, tty: dict[str, int] | None) -> None:
        self._tty = tty is not None
        try:
            os.chdir(cwd or ".")
        except OSError as problem:
            self._fail(126, f"cannot enter {cwd!r}: {problem.strerror}")
            return
        more = {_bytes(name): _bytes(value) for name, value in env.items()}
        try:
            self._program = ShimProgram([_bytes(word) for word in argv], {**os.environb, **more}, tty)
        except OSError as problem:
            missing = problem.errno in (errno.ENOENT, errno.ENOTDIR)
            self._fail(127 if missing else 126, f"cannot start {argv[0]!r}: {problem.strerror}")

    def _fail(self, code: int, why: str) -> None:
        self._out += frame(STDERR, f"{why}\n".encode(errors="replace"))
        self._code = code

    def _reap(self) -> None:
        if self._program and self._code < 0:
            pid, status = os.waitpid(self._program.pid, os.WNOHANG)
            if pid:
                self._code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                self._deadline = time.monotonic() + _DRAIN_S

    def _read_output(self, fd: int) -> None:
        assert self._program
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # nobody has the terminal open any more
            data = b""
        if data:
            self._since_end += len(data) if self._code >= 0 else 0
            self._out += frame(self._program.outputs[fd], data)
        else:
            del self._program.outputs[fd]
            os.close(fd)

    def _write_input(self, program: ShimProgram) -> None:
        try:
            taken = os.write(program.stdin, self._input[:CHUNK]) if self._input else 0
        except BlockingIOError:
            return
        except OSError:
            taken = 0
        if taken == 0:
            self._input.clear()
            self._out += frame(CLOSED)
            self._close_input(program)
            return
        del self._input[:taken]
        self._out += frame(TAKEN, struct.pack("!I", taken))
        if self._input_ends and not self._input and not self._tty:
            self._close_input(program)

    def _close_input(self, program: ShimProgram) -> None:
        if program.stdin >= 0:
            os.close(program.stdin)
        program.stdin = -1

    def _write_out(self) -> None:
        try:
            del self._out[: os.write(1, self._out[:CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            raise ClientGone from None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


if __name__ == "__main__":
    os._exit(Shim().serve())
