"""A rank's program as a local process: its output, its exit code, and how it is stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Final, Literal

from harness.linux.line_splitter import LineSplitter

Stream = Literal["stdout", "stderr"]
Sink = Callable[[int, Stream, bytes], None]
"""Called with the rank, the stream and a line without its newline."""

GRACE_SECONDS: Final = 5.0
"""Seconds between SIGTERM and SIGKILL."""
TERMINATED: Final = b"terminate called without an active exception"
"""What C++ prints when Python exits while a thread of gloo runs C++ code (pytorch #190489)."""
_CHUNK: Final = 1 << 16
_PIPE: Final = 1 << 20
"""Bytes that a pipe can hold unless root asks for more (/proc/sys/fs/pipe-max-size)."""


@dataclass(eq=False)
class RankProcess:
    """A program that was started for a rank, with pipes for its output."""

    rank: int
    process: subprocess.Popen[bytes]
    lines: dict[Stream, LineSplitter] = field(
        default_factory=lambda: {"stdout": LineSplitter(), "stderr": LineSplitter()}
    )
    terminated: bool = False
    """Whether it has printed TERMINATED."""

    @property
    def code(self) -> int:
        """Its exit code, 128 + number for a signal; waits for its end."""
        code = self.process.wait()
        return code if code >= 0 else 128 - code

    def pipe(self, stream: Stream) -> IO[bytes]:
        """The pipe of its output."""
        pipe = self.process.stdout if stream == "stdout" else self.process.stderr
        assert pipe is not None
        return pipe

    def read(self, stream: Stream, sink: Sink) -> bool:
        """Pass lines that have arrived to ``sink``; whether more can come."""
        try:
            data = os.read(self.pipe(stream).fileno(), _CHUNK)
        except BlockingIOError:
            return True
        for line in self.lines[stream].feed(data) if data else self.lines[stream].end():
            self.terminated |= line == TERMINATED
            sink(self.rank, stream, line)
        return bool(data)

    def drain(self, stream: Stream, sink: Sink) -> None:
        """Pass on what is left in a pipe that another process holds open, without waiting for more."""
        for _ in range(_PIPE // _CHUNK):
            if not self.read(stream, sink):
                break
        for line in self.lines[stream].end():
            sink(self.rank, stream, line)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its process group, which has a proxy and the program, and wake it where it is paused."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
            os.killpg(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        """Close the pipes."""
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


def stop(ranks: Sequence[RankProcess], grace: float = GRACE_SECONDS) -> None:
    """End what still runs by SIGTERM, and by SIGKILL after ``grace`` seconds."""
    running = [one for one in ranks if one.process.poll() is None]
    for one in running:
        one.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    for one in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(max(0.0, deadline - time.monotonic()))
    for one in running:
        one.signal(signal.SIGKILL)
    for one in running:
        one.process.wait()
