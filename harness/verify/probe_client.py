"""Sends requests to the probe in a node and waits for its answers. Runs outside the node."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from collections.abc import Mapping
from typing import IO, Any, Final, Protocol

from harness.errors import NodeError
from harness.linux.programs import HELPER
from harness.model.address import FRAME

PROBE_ARGV: Final = ("-m", "harness.verify.node.probe", HELPER)
"""Arguments with which Python in a node starts the probe."""
PATIENCE_S: Final = 20.0
"""How much longer than planned a probe may take before it counts as hung: enough to start on a busy machine."""


class ProbeProcess(Protocol):
    """A running probe, e.g. a subprocess.Popen with pipes."""

    @property
    def stdin(self) -> IO[bytes] | None:
        """Where requests go."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """Where answers come from."""

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""

    def kill(self) -> None:
        """End it."""


class ProbeClient:
    """One probe. Its methods raise NodeError where the probe dies, hangs or reports an error."""

    def __init__(self, rank: int, process: ProbeProcess) -> None:
        self.rank, self._process = rank, process
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.address, self.port, self.bulk_port = "", 0, 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout or ():
                self._lines.put(line)
        self._lines.put(None)

    def open(self, address: str, frame: int = FRAME) -> None:
        """Bind its sockets to an address; ``frame``: bytes of a full frame on the wire."""
        answer = self.ask(0.0, op="open", bind=address, frame=frame)
        self.address, self.port, self.bulk_port = address, answer["port"], answer["bulk_port"]

    def ask(self, seconds: float, **request: Any) -> dict[str, Any]:
        """Send a request that takes that many seconds, and wait for its answer."""
        self.start(request)
        return self.finish(seconds, request["op"])

    def start(self, request: Mapping[str, Any]) -> None:
        """Send a request."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._dead(request["op"]) from None

    def finish(self, seconds: float, what: str) -> dict[str, Any]:
        """Wait for the answer to the request."""
        try:
            line = self._lines.get(timeout=seconds + PATIENCE_S)
        except queue.Empty:
            raise NodeError(
                self.rank, f"probe {what}", f"the probe did not answer within {seconds + PATIENCE_S:.0f} s"
            ) from None
        if line is None:
            raise self._dead(what)
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise NodeError(
                self.rank, f"probe {what}", f"the probe answered {line.strip().decode(errors='replace')!r}"
            ) from None
        if "error" in answer:
            raise NodeError(self.rank, f"probe {what}", answer["error"])
        return answer

    def _dead(self, what: str) -> NodeError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        return NodeError(self.rank, f"probe {what}", f"the probe ended with code {self._process.poll()}")

    def close(self) -> None:
        """End it: close its input, and kill it if it does not exit within a second."""
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
