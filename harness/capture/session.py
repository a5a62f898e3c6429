"""A capture's session: writes its records to a file or a terminal, until it is to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final, Protocol

from harness.capture import pcapng
from harness.capture.capture import Capture
from harness.capture.pairing import PairedCount, Pairing
from harness.capture.points import Point
from harness.capture.record import Record
from harness.errors import InputError
from harness.model.format import count, format_range, format_time
from harness.model.link import Pair

_LOOK_S: Final = 0.1
LEAST: Final = 64
"""Bytes of a packet that hold its headers, usually."""
MOST: Final = 0xFFFF
HEADERS: Final = 128
"""Bytes that hold IPv6's and TCP's headers with all options; the default."""


class Sink(Protocol):
    """Where records go."""

    def write(self, record: Record, after: int | None) -> None:
        """Write one packet, and how many ns ago it was sent, where that is known."""
        ...

    def flush(self) -> None:
        """Make visible what was written."""
        ...


class PcapngSink:
    """A pcapng file.

    Args:
        file: open for writing bytes.
        points: of the records.
        most: bytes that are recorded of each packet; 0: all.
    """

    def __init__(self, file: IO[bytes], points: Sequence[Point], most: int) -> None:
        self._file, self._points, self._recorded = file, points, [0] * len(points)
        file.write(pcapng.header(points, most, "harness"))
        file.flush()

    def write(self, record: Record, after: int | None) -> None:
        self._recorded[record.point] += 1
        self._file.write(pcapng.packet(record))

    def flush(self) -> None:
        self._file.flush()

    def finish(self, lost: dict[int, int]) -> None:
        """Write how many packets were recorded, and lost (by rank)."""
        for number, point in enumerate(self._points):
            statistics = pcapng.statistics(number, time.time_ns(), self._recorded[number], lost.get(point.rank, 0))
            self._file.write(statistics)
        self.flush()


def check(most: int, seconds: float | None, packets: int | None) -> None:
    """Raise InputError where these are out of range; see Session and Capture."""
    if most and not LEAST <= most <= MOST:
        raise InputError(f"{most} bytes of each packet: take {LEAST} to {MOST}, or 0 for all")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise InputError(f"{seconds:g} seconds: take more than 0, or leave it out to record until Ctrl-C")
    if packets is not None and packets < 1:
        raise InputError(f"a count of {packets} packets: take 1 or more, or leave it out to record until Ctrl-C")


class Session:
    """One capture, and the sink of its records."""

    def __init__(self, capture: Capture, points: Sequence[Point], sink: Sink) -> None:
        self._capture, self._sink, self._pairing, self._written = capture, sink, Pairing(points), 0

    def run(self, ends: Callable[[], bool], *, seconds: float | None = None, packets: int | None = None) -> None:
        """Write records until the capture is to end. An error does not lose what was recorded before.

        Args:
            ends: whether to end, called ten times a second.
            seconds: for how long at most.
            packets: how many records at most; a packet that arrives has two.

        Raises:
            NetworkStateError: the network was taken down.
            NodeError: a node's program has ended.
        """
        deadline = time.monotonic() + (seconds or float("inf"))
        try:
            while not ends() and (left := deadline - time.monotonic()) > 0 and self._written != packets:
                self._write(self._capture.poll(min(_LOOK_S, left)), packets)
        finally:
            self._write(self._capture.finish(), packets)

    def _write(self, records: Sequence[Record], packets: int | None) -> None:
        for record in records[: None if packets is None else packets - self._written]:
            self._sink.write(record, self._pairing.add(record))
            self._written += 1
        if records:
            self._sink.flush()

    @property
    def edges(self) -> Mapping[Pair, PairedCount]:
        """The packets of each directed edge."""
        return self._pairing.edges

    def summary(self) -> list[str]:
        """A line for each edge with packets, and for each node that lost some."""
        used = {pair: edge for pair, edge in self._pairing.edges.items() if edge.sent or edge.received}
        lines = [f"{src}->{dst}: {describe(edge)}" for (src, dst), edge in used.items()] or ["no packet was recorded"]
        missing = {rank: lost for rank, lost in self._capture.lost.items() if lost}
        return lines + [
            f"node {rank}: not recorded: {count(lost, 'packet')} that arrived too fast to be read; record fewer edges,"
            " or fewer bytes"
            for rank, lost in missing.items()
        ]


def describe(edge: PairedCount) -> str:
    """The packets of an edge, in words."""
    text = f"{count(edge.sent, 'packet')} sent, {edge.received} received"
    if edge.sent > edge.received:
        text += f", {edge.sent - edge.matched} lost or still on their way"
    if edge.matched:
        low, mean, high = edge.least_ns / 1e9, edge.sum_ns / edge.matched / 1e9, edge.most_ns / 1e9
        text += f"; one-way delay {format_range(low, high, _time)}, mean {_time(mean)}"
    return text


def _time(seconds: float) -> str:
    return format_time(seconds, 4)
