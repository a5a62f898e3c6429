"""A packet as it was recorded at one point, and how a node sends it: a head, then the kernel's own message.

A head without a message is a mark: all that was logged before its time has been sent.
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
        data: as many of them as were copied.
    """

    at: int
    point: int
    length: int
    data: bytes


def encode(messages: Iterable[tuple[int, bytes]]) -> bytes:
    """What a node sends of what it has received."""
    return b"".join(_HEAD.pack(at, len(data)) + data for at, data in messages)


def mark(at: int) -> bytes:
    """What a node sends when it has received all that was logged before this time."""
    return _HEAD.pack(at, 0)


class Decoder:
    """Makes records of the bytes that a node sends.

    Args:
        stamped: the points at which the kernel's time of a packet is right. Behind the queues of user space it is not:
            it is that at which the packet came to them. Elsewhere a packet's time is that at which the node read it.
    """

    def __init__(self, stamped: Collection[int]) -> None:
        self._stamped, self._rest = frozenset(stamped), b""
        self._next: int | None = None
        self.until = 0
        """All records before this time have come, ns since the epoch."""
        self.lost = 0
        """Packets that came to the node's program faster than it could read them."""

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that are whole by now."""
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
