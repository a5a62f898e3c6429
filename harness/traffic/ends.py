"""The two programs of a load, a sender and a receiver, each in its node."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from harness.backends.base import Backend, Stdio
from harness.errors import NodeError
from harness.linux.programs import HELPER
from harness.model.address import full_frame
from harness.model.plan import NetworkPlan
from harness.traffic.spec import DATAGRAM_HEADERS, TrafficSpec

PATIENCE_S: Final = 30.0
"""How long a program may take to start, and TCP to connect: on a busy machine, over a slow link."""
QUIET_S: Final = 0.6
"""After the sender has ended, the receiver counts until nothing has arrived for this long."""
_DRAIN_S: Final = 5.0
_PROGRAM: Final = Path(__file__).with_name("node_program.py")


class TrafficProgram:
    """A program in a node; node_program.py describes its order. Raises NodeError where it cannot start."""

    def __init__(self, backend: Backend, rank: int, order: Mapping[str, Any]) -> None:
        self.rank, self._what = rank, f"{order['role']} traffic"
        argv = [backend.python, "-I", "-S", "-c", _PROGRAM.read_text(), json.dumps(order), HELPER]
        pipes = Stdio(subprocess.PIPE, subprocess.PIPE, subprocess.DEVNULL)
        self._process = backend.spawn(rank, argv, env=dict(backend.environ), stdio=pipes, cwd="/")
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        os.set_blocking(self._out, False)
        self._rest = b""
        self.counts: dict[str, int] = {}
        """Its latest report."""
        self.ended = False
        try:
            self.port = self._ready()
        except BaseException:
            self.kill()
            raise

    def fileno(self) -> int:
        """Of its output, for select."""
        return self._out

    def _ready(self) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while "ready" not in self.counts:
            if self.ended or time.monotonic() > deadline:
                why = "its program ended at once" if self.ended else f"no answer within {PATIENCE_S:g} s"
                raise NodeError(self.rank, self._what, why)
            select.select([self], [], [], 0.1)
            self.hear()
        return self.counts.pop("ready")

    def hear(self) -> None:
        """Read new reports. Raises NodeError where the program reports an error."""
        try:
            while data := os.read(self._out, 1 << 16):
                self._rest += data
            self.ended = True
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            report = json.loads(line)
            if "error" in report:
                raise NodeError(self.rank, self._what, report["error"])
            self.counts.update(report)

    def end(self) -> None:
        """Ask it to end, and read its last report."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        deadline = time.monotonic() + _DRAIN_S
        while not self.ended and time.monotonic() < deadline:
            select.select([self], [], [], 0.1)
            with contextlib.suppress(NodeError):
                self.hear()
        self.kill()

    def kill(self) -> None:
        """End it at once; does nothing where it has ended."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


class Ends:
    """Both programs of a load, which starts with them. Raises NodeError where one cannot start; none runs then."""

    def __init__(self, backend: Backend, plan: NetworkPlan, spec: TrafficSpec) -> None:
        kind, token = ("tcp" if spec.flows else "udp"), int.from_bytes(os.urandom(8))
        address = str(plan.addressing.ipv4(spec.dst))
        self.receiver = TrafficProgram(
            backend, spec.dst, {"role": "receive", "kind": kind, "address": address, "token": token}
        )
        order: dict[str, Any] = {"role": "send", "kind": kind, "to": [address, self.receiver.port]}
        if spec.rate is None:
            patience = PATIENCE_S / 2
            order |= {"flows": spec.flows, "congestion_control": spec.congestion_control, "patience": patience}
        else:
            interval = 8 * full_frame(plan.mtu) / spec.rate.bit_s
            size = plan.mtu - DATAGRAM_HEADERS
            order |= {"token": token, "payload": size, "interval": interval, "on": spec.on, "off": spec.off}
        try:
            self.sender = TrafficProgram(backend, spec.src, order)
        except BaseException:
            self.receiver.kill()
            raise

    @property
    def both(self) -> tuple[TrafficProgram, TrafficProgram]:
        """Sender and receiver."""
        return self.sender, self.receiver

    @property
    def port(self) -> int:
        """The receiver's port."""
        return self.receiver.port

    def hear(self) -> None:
        """Read new reports. Raises NodeError."""
        for end in self.both:
            end.hear()

    def lost(self) -> TrafficProgram | None:
        """A program that has ended by itself or with its node, if any."""
        return next((end for end in self.both if end.ended), None)

    def end(self) -> None:
        """End the sender, let the receiver count what is under way, and end it."""
        self.sender.end()
        deadline, before, since = time.monotonic() + _DRAIN_S, dict(self.receiver.counts), time.monotonic()
        while not self.receiver.ended and time.monotonic() < min(deadline, since + QUIET_S):
            select.select([self.receiver], [], [], 0.1)
            with contextlib.suppress(NodeError):
                self.receiver.hear()
            if self.receiver.counts != before:
                before, since = dict(self.receiver.counts), time.monotonic()
        self.receiver.end()

    def kill(self) -> None:
        """End both at once."""
        for end in self.both:
            end.kill()
