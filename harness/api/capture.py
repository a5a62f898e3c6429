"""A packet capture that runs while a Python program uses the network."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from harness.capture.capture import Capture
from harness.capture.pairing import PairedCount
from harness.capture.points import points
from harness.capture.session import PcapngSink, Session
from harness.errors import HarnessError, InputError
from harness.linux import host
from harness.model.link import Pair
from harness.networks.network import Network


class PacketCapture:
    """A running capture, from ``net.capture(...)``. It ends by ``stop()``, or with its ``with`` block or network.

    Args:
        network: a network that is up.
        pairs: the directed edges.
        path: the pcapng file.
        most: bytes to keep of each packet; 0: all.

    Raises:
        InputError: the file cannot be written.
        HarnessError: this machine cannot capture packets.
    """

    def __init__(self, network: Network, pairs: Collection[Pair], path: Path, most: int) -> None:
        self._points = points(network.plan, pairs)
        self._counts: Mapping[Pair, PairedCount] = {}
        self._error: HarnessError | None = None
        self._end, begun = threading.Event(), threading.Event()
        try:
            file = path.open("wb")
        except OSError as problem:
            raise InputError(f"cannot write {host.explain(problem)}") from None
        # The kernel ends programs in nodes with the thread that started them, so this thread stays.
        self._thread = threading.Thread(
            target=self._record, args=(network, file, most, begun), name="harness-capture", daemon=True
        )
        self._thread.start()
        begun.wait()
        if self._error is not None:
            raise self._error

    def _record(self, network: Network, file: IO[bytes], most: int, begun: threading.Event) -> None:
        try:
            with file, Capture(network.backend, self._points, most) as capture:
                sink = PcapngSink(file, self._points, most)
                session = Session(capture, self._points, sink)
                begun.set()
                try:
                    session.run(self._end.is_set)
                finally:
                    sink.finish(capture.lost)
                    self._counts = session.edges
        except OSError as problem:
            self._error = HarnessError(host.explain(problem))
        except HarnessError as error:
            self._error = error
        finally:
            begun.set()

    def stop(self) -> Mapping[Pair, PairedCount]:
        """End the capture and return its counts by directed edge. May be called again.

        Raises:
            HarnessError: the capture failed earlier, e.g. because the disk is full; the file has what came before.
        """
        self.end()
        if self._error is not None:
            raise self._error
        return self._counts

    def end(self) -> None:
        """End the capture, also where it failed."""
        self._end.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.end() if kind else self.stop()
