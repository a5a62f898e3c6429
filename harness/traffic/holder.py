"""The process that runs one load, outside the nodes: ``holder.py``, with its order as a line of JSON on standard input.

It starts a program in either node and writes their counts to the load's file and to the run that is being recorded. It
ends with the load: on SIGTERM, when the load's time is over, when a program in a node has ended (the network is gone),
or when its parent has ended without writing a byte to its standard input, which keeps it. The kernel then ends the
programs in the nodes, however it ends.

It prints one line of JSON: that the load has started, or why it cannot.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import contextlib
import json
import select
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.backends.netns.namespaces import start_time
from harness.backends.registration import Registration
from harness.errors import HarnessError, NodeError
from harness.linux import host
from harness.networks.backends import find_backend
from harness.networks.registry import LocalRegistry
from harness.traffic import load_file
from harness.traffic.ends import Ends
from harness.traffic.journal import TrafficJournal
from harness.traffic.load_file import Load
from harness.traffic.spec import TrafficSpec
from harness.traffic.totals import totals

_SAMPLE_S: Final = 1.0
STOPPED: Final = "stopped"
TIME_OVER: Final = "its time is over"
ABANDONED: Final = "the process that started it has ended"


def tell(**facts: object) -> None:
    """Report the start to the parent process, if that still reads."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(facts).encode() + b"\n")


class Holder:
    """One load.

    Args:
        order: ``{"registration": {Registration}, "folder", "file", "id", "spec": {TrafficSpec}}``.
        wake: a file descriptor that becomes readable at a signal.
    """

    def __init__(self, order: Mapping[str, Any], wake: int) -> None:
        record = Registration(**order["registration"])
        self._plan, self._wake, self._path = record.network_plan, wake, Path(order["file"])
        spec = TrafficSpec.from_json(order["spec"])
        self._ends = Ends(find_backend(record), self._plan, spec)
        own = start_time(os.getpid())
        assert own is not None
        self.load = Load(order["id"], record.created, spec, time.time(), os.getpid(), own)
        registry = LocalRegistry(Path(order["folder"]))
        self._journal = TrafficJournal(registry, record.name, self._plan, self._ends.port)
        self._began = self._last = time.monotonic()

    def run(self) -> None:
        """Run until the load ends."""
        try:
            self._sample()
            tell(ready=True)
            why, over = self._watch(), time.monotonic()
            self._ends.end()
            self._update(over, ended=why)
            self._journal.stop(self.load)
            if why == ABANDONED:
                self._path.unlink(missing_ok=True)
            self._publish()
        finally:
            self._ends.kill()

    def _watch(self) -> str:
        """Wait for the load's end; return its reason."""
        spec, lifeline = self.load.spec, [0]
        limit = self._began + spec.seconds if spec.seconds else float("inf")
        while True:
            wait = max(0.0, min(self._last + _SAMPLE_S, limit) - time.monotonic())
            files = [*lifeline, self._wake, *(end.fileno() for end in self._ends.both)]
            ready = select.select(files, [], [], wait)[0]
            try:
                self._ends.hear()
            except NodeError as error:
                return str(error)
            if self._wake in ready:
                return STOPPED
            if 0 in ready and not os.read(0, 1):
                return ABANDONED
            if 0 in ready:
                lifeline = []
            if time.monotonic() >= limit:
                return TIME_OVER
            if end := self._ends.lost():
                return f"its program in node {end.rank} was ended"
            if time.monotonic() >= self._last + _SAMPLE_S:
                self._sample()

    def _sample(self) -> None:
        self._update()
        self._journal.sample(self.load)
        self._publish()

    def _publish(self) -> None:
        with contextlib.suppress(HarnessError):
            load_file.write(self._path, self.load)

    def _update(self, now: float | None = None, ended: str = "") -> None:
        now, before = now or time.monotonic(), self.load.totals
        counts = (end.counts for end in self._ends.both)
        found = totals(self.load.spec, self._plan.mtu, now - self._began, *counts, ended=bool(ended))
        since = found.seconds - before.seconds
        rate = 8 * (found.received_bytes - before.received_bytes) / since if since > 0 and not ended else 0.0
        self._last = now
        self.load = replace(self.load, totals=found, now_bit_s=rate, ended=ended)


def main() -> None:
    """Run the load of the order on standard input."""
    order = json.loads(sys.stdin.buffer.readline())
    wake, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        holder = Holder(order, wake)
    except (HarnessError, OSError) as problem:
        error = problem if isinstance(problem, HarnessError) else HarnessError(host.explain(problem))
        tell(error=str(error), code=error.exit_code)
        return
    holder.run()


if __name__ == "__main__":
    main()
