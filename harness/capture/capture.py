"""Records packets of a network's edges by a program in each node, and sorts their records by time."""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import select
import subprocess
import time
from collections.abc import Iterable, Sequence
from typing import Final, Self

from harness.backends.base import Backend, Stdio
from harness.capture.points import Point
from harness.capture.record import Decoder, Record
from harness.errors import HarnessError, NetworkStateError, NodeError
from harness.linux.programs import HELPER

_ARGV: Final = ("-m", "harness.capture.node_program", HELPER)
_END_S: Final = 5.0
_GONE_S: Final = 1.0
_WHAT: Final = "record packets"


class NodeCapture:
    """The program in one node.

    Args:
        backend: of the node.
        rank: the node.
        points: those in this node, with their numbers.
        most: bytes of each packet to record; 0: all.
    """

    def __init__(self, backend: Backend, rank: int, points: Iterable[tuple[int, Point]], most: int) -> None:
        self.rank, self.ended = rank, False
        mine, exact = list(points), backend.engine.kernel_stamps
        self._decoder = Decoder({number for number, one in mine if one.side == "sent" or exact})
        listed = [{"id": number, "side": one.side, "prefixes": one.prefixes} for number, one in mine]
        pipes = Stdio(subprocess.PIPE, subprocess.PIPE, subprocess.DEVNULL)
        argv = [backend.python, *_ARGV]
        self._process = backend.spawn_privileged(rank, argv, env=dict(backend.environ) or None, stdio=pipes)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._in.write(json.dumps({"points": listed, "most": most}).encode() + b"\n")
            self._in.flush()

    def ready(self) -> None:
        """Wait until it records. Raises HarnessError."""
        answer = json.loads(self._line() or b'{"error": "its program ended at once"}')
        if "error" in answer:
            error = HarnessError(f"node {self.rank}: {_WHAT}: {answer['error']}")
            error.exit_code = answer.get("code", NodeError.exit_code)
            raise error
        os.set_blocking(self._out.fileno(), False)

    def _line(self) -> bytes:
        """The first line of output; reads no byte beyond it."""
        found = b""
        while not found.endswith(b"\n") and (byte := os.read(self._out.fileno(), 1)):
            found += byte
        return found

    def fileno(self) -> int:
        """Of its output, for select."""
        return self._out.fileno()

    @property
    def until(self) -> int:
        """All its records before this time have been read; ns since the epoch."""
        return self._decoder.until

    @property
    def lost(self) -> int:
        """Packets that it could not record."""
        return self._decoder.lost

    def hear(self) -> list[Record]:
        """New records."""
        found: list[Record] = []
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._out.fileno(), 1 << 18):
                found += self._decoder.feed(data)
            self.ended = True
        return found

    def end(self) -> None:
        """Ask it to write its last records and exit."""
        with contextlib.suppress(OSError):
            self._in.close()

    def kill(self) -> None:
        """End it at once; does nothing where it has ended."""
        self.end()
        self._process.kill()
        self._process.wait()
        self._out.close()


class Capture:
    """Records packets at these points, until ``close``.

    Args:
        backend: of the nodes.
        points: where to record.
        most: bytes of each packet, from the IP header on; 0: all.

    Raises:
        UnavailableError: the kernel lacks a feature.
        HarnessError: a node's program cannot start; none records then.
    """

    def __init__(self, backend: Backend, points: Sequence[Point], most: int) -> None:
        self._backend, self._waiting = backend, list[Record]()
        self._recorders: list[NodeCapture] = []
        numbered = list(enumerate(points))
        try:
            for rank in sorted({point.rank for point in points}):
                mine = [(number, point) for number, point in numbered if point.rank == rank]
                self._recorders.append(NodeCapture(backend, rank, mine, most))
            for one in self._recorders:
                one.ready()
        except BaseException:
            self.close()
            raise

    @property
    def lost(self) -> dict[int, int]:
        """By rank, packets that arrived too fast to be recorded."""
        return {one.rank: one.lost for one in self._recorders}

    def poll(self, seconds: float) -> list[Record]:
        """Wait for at most that long; return the records that no later record will precede, by time.

        Raises:
            NetworkStateError: the network was taken down.
            NodeError: a node's program has ended.
        """
        if select.select(self._recorders, [], [], seconds)[0]:
            self._hear(self._recorders)
        if any(one.ended for one in self._recorders):
            self._refuse()
        return self._ripe(min(one.until for one in self._recorders))

    def finish(self) -> list[Record]:
        """Stop recording; return the remaining records, by time."""
        for one in self._recorders:
            one.end()
        deadline = time.monotonic() + _END_S
        while (open_ := [one for one in self._recorders if not one.ended]) and time.monotonic() < deadline:
            select.select(open_, [], [], 0.1)
            self._hear(open_)
        return self._ripe(None)

    def _hear(self, recorders: Iterable[NodeCapture]) -> None:
        for one in recorders:
            for record in one.hear():
                heapq.heappush(self._waiting, record)

    def _ripe(self, until: int | None) -> list[Record]:
        found = []
        while self._waiting and (until is None or self._waiting[0].at <= until):
            found.append(heapq.heappop(self._waiting))
        return found

    def _refuse(self) -> None:
        deadline = time.monotonic() + _GONE_S
        while self._backend.alive and time.monotonic() < deadline:
            time.sleep(0.05)
        if not self._backend.alive:
            raise NetworkStateError("the network was taken down while its packets were recorded")
        rank = next(one.rank for one in self._recorders if one.ended)
        raise NodeError(rank, _WHAT, "its program was ended")

    def close(self) -> None:
        """End the nodes' programs at once, and with them the kernel's rules."""
        for one in self._recorders:
            one.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
