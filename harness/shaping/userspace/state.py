"""What outlives a shaper daemon: its link queues, their counters, and when it was last alive.

It is a file in memory (memfd) that the supervisor made; the process that comes after one that was killed reads there
what links to make and goes on counting. Who samples the counters often (meter.py) reads it too, without a word to the
process, which has packets to look after.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

from harness.shaping.userspace.link_queue import COUNTERS

_HEADER: Final = 4096
BACKLOG_BYTES: Final = COUNTERS
"""Place behind a link queue's counters of what it holds now: bytes on the delay line or waiting."""
BACKLOG_PACKETS: Final = COUNTERS + 1
"""Place of how many packets that is; only shared capacities have it, the kernel counts those of link queues."""
NUMBERS: Final = COUNTERS + 2
_SLOT: Final = 8 * NUMBERS
_ROOM: Final = 16 << 20
"""Bytes for one version of one text; the file takes memory only where something stands."""
_TEXT_HEAD: Final = struct.Struct("=QII")
_BEAT: Final = 0
EVENTS: Final = 0
"""Number of the text that says what has happened to the daemons."""


@dataclass(frozen=True)
class Layout:
    """What stands where in the state of one daemon: in which slot which counters, under which number which text.

    Args:
        nodes: of the daemon.
        size: nodes of the whole network.
    """

    nodes: int
    size: int

    @property
    def slots(self) -> int:
        """How many there are; no more trunks lead to the daemon's nodes than edges do."""
        return self.nodes * (2 * self.size + 1)

    def link_queue(self, node: int, neighbour: int) -> int:
        """Slot of a link queue, by the node's number in the daemon and the neighbour's rank."""
        return node * self.size + neighbour

    def downlink(self, node: int) -> int:
        """Slot of a node's downlink."""
        return self.nodes * self.size + node

    def trunk(self, number: int) -> int:
        """Slot of a trunk."""
        return self.nodes * (self.size + 1) + number

    def branches(self, node: int) -> int:
        """Text: what a node's link queues do."""
        return EVENTS + 1 + node

    def caps(self, node: int) -> int:
        """Text: the capacities that a node's link queues share."""
        return EVENTS + 1 + self.nodes + node

    def deliveries(self, node: int) -> int:
        """Text: the packet-delivery traces of a node's link queues."""
        return EVENTS + 1 + 2 * self.nodes + node

    @property
    def trunk_names(self) -> int:
        """Text: the trunks' names, by their numbers."""
        return EVENTS + 1 + 3 * self.nodes


class State:
    """The file: a sign of life, counters, and numbered texts. One process writes it at a time.

    Args:
        fd: of the memfd.
        slots: how many link queues and shared capacities it has room for the counters of; the same for every process
            that opens it.
        writable: False for who only reads.
    """

    def __init__(self, fd: int, slots: int, *, writable: bool = True) -> None:
        self._fd, self.slots = fd, slots
        self._generations: dict[int, int] = {}
        """Of texts that this process has written."""
        self._texts_at = _HEADER + -(-slots * _SLOT // 4096) * 4096
        if writable and os.fstat(fd).st_size < self._texts_at:
            os.ftruncate(fd, self._texts_at)
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._numbers = memoryview(mmap.mmap(fd, self._texts_at, access=access)).cast("Q")

    def readable(self) -> int:
        """A file descriptor by which others can read it. Raises OSError."""
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)

    def counters(self, number: int) -> memoryview:
        """The counters in one slot, to be counted up in place, and the backlog."""
        start = (_HEADER + number * _SLOT) // 8
        return self._numbers[start : start + NUMBERS]

    def beat(self, now: int) -> None:
        """Tell the supervisor that we are alive (ns of the monotonic clock)."""
        self._numbers[_BEAT] = now

    @property
    def last_beat(self) -> int:
        """When the process was last alive, ns of the monotonic clock; 0 where it never was."""
        return self._numbers[_BEAT]

    def save(self, number: int, value: Any) -> None:
        """Write a new version of a text beside the current one, which stays whole until the new one is.

        Raises ValueError where it is too large.
        """
        data = json.dumps(value, separators=(",", ":")).encode()
        if len(data) > _ROOM - _TEXT_HEAD.size:
            raise ValueError(f"{len(data)} bytes are too many")
        known = self._generations.get(number)
        generation = self._generations[number] = 1 + (self.generation(number) if known is None else known)
        at = self._at(number, generation & 1)
        os.pwrite(self._fd, data, at + _TEXT_HEAD.size)
        os.pwrite(self._fd, _TEXT_HEAD.pack(generation, len(data), zlib.crc32(data)), at)

    def generation(self, number: int) -> int:
        """Higher by one for every version of a text that was written; 0 where there is none. Far cheaper than load."""
        heads = (os.pread(self._fd, _TEXT_HEAD.size, self._at(number, which)) for which in (0, 1))
        return max((_TEXT_HEAD.unpack(head)[0] for head in heads if len(head) == _TEXT_HEAD.size), default=0)

    def load(self, number: int) -> Any:
        """The newest whole version of a text; None where there is none."""
        found = self._versions(number)
        return json.loads(max(found)[1]) if found else None

    def _at(self, number: int, which: int) -> int:
        return self._texts_at + (2 * number + which) * _ROOM

    def _versions(self, number: int) -> list[tuple[int, bytes]]:
        found = []
        for which in (0, 1):
            at = self._at(number, which)
            head = os.pread(self._fd, _TEXT_HEAD.size, at)
            if len(head) == _TEXT_HEAD.size:
                generation, length, check = _TEXT_HEAD.unpack(head)
                data = os.pread(self._fd, length, at + _TEXT_HEAD.size)
                if generation and zlib.crc32(data) == check:
                    found.append((generation, data))
        return found
