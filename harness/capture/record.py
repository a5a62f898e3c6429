"""A packet recorded at one point, and the format in which a node sends it: a head, then the kernel's message.

A head without a message is a mark: the node has sent all packets logged before its time.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from harness.capture.ip import length_of
from harness.netlink.nflog import copies

_HEAD: Final = struct.Struct("=QI")


class Record(NamedTuple):
    """One packet at one point.

    Args:
        at: when it was there, ns since the epoch.
        point: number of the point.
        length: bytes of the packet, from the IP header on.
        data: its recorded bytes.
    """

    at: int
    point: int
    length: int
    data: bytes


def encode(messages: Iterable[tuple[int, bytes]]) -> bytes:
    """The bytes of (time, kernel's message) pairs."""
    return b"".join(_HEAD.pack(at, len(data)) + data for at, data in messages)


def mark(at: int) -> bytes:
    """The bytes of a mark."""
    return _HEAD.pack(at, 0)


class Decoder:
    """Decodes records from the bytes that a node sends.

    Args:
        stamped: the points where the kernel's timestamps are right. Behind user-space queues they are not: they are of
            the packet's arrival at the queue. There, a packet's time is when the node read it.
    """

    def __init__(self, stamped: Collection[int]) -> None:
        self._stamped, self._rest = frozenset(stamped), b""
        self._next: int | None = None
        self.until = 0
        """All records before this time have arrived; ns since the epoch."""
        self.lost = 0
        """Packets that arrived faster than the node's program could read them."""

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that are complete with this data."""
        data, start = self._rest + data, 0
        while len(data) - start >= _HEAD.size:
            at, size = _HEAD.unpack_from(data, start)
            end = start + _HEAD.size + size
            if end > len(data):
                break
            if not size:
                self.until = at
            for copy in copies(data[start + _HEAD.size : end]):
                point = int(copy.prefix)
                stamp = copy.stamp if point in self._stamped else 0
                yield Record(stamp or at, point, length_of(copy.data), copy.data)
                self._count(copy.number)
            start = end
        self._rest = data[start:]

    def _count(self, number: int) -> None:
        if self._next is not None:
            self.lost += (number - self._next) & 0xFFFF_FFFF
        self._next = number + 1
