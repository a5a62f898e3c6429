"""What outlives a shaper daemon: its link queues, their counters, and when it was last alive.

It is a file in memory (memfd) that the supervisor makes. A daemon that replaces another reads in it which links to
make, and goes on counting. meter.py, which samples the counters often, reads it without disturbing the daemon.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

from harness.shaping.userspace.counters import NAMES

_HEADER: Final = 4096
_SLOT: Final = 8 * len(NAMES)
_ROOM: Final = 16 << 20
"""Bytes for one version of one text; the file takes memory only for what is written."""
_TEXT_HEAD: Final = struct.Struct("=QII")
"""Generation, length, CRC-32."""
_BEAT: Final = 0
EVENTS: Final = 0
"""Number of the text that lists what has happened to the daemons."""


@dataclass(frozen=True)
class Layout:
    """Where things are in the state of one daemon: slots of counters, and numbers of texts.

    Args:
        nodes: of the daemon.
        size: nodes of the whole network.
    """

    nodes: int
    size: int

    @property
    def slots(self) -> int:
        """How many slots there are: for link queues, downlinks, and as many trunks as link queues."""
        return self.nodes * (2 * self.size + 1)

    def link_queue(self, node: int, neighbour: int) -> int:
        """Slot of a link queue, by the node's index in the daemon and the neighbour's rank."""
        return node * self.size + neighbour

    def downlink(self, node: int) -> int:
        """Slot of a node's downlink."""
        return self.nodes * self.size + node

    def trunk(self, number: int) -> int:
        """Slot of a trunk."""
        return self.nodes * (self.size + 1) + number

    def branches(self, node: int) -> int:
        """Number of the text with a node's branches."""
        return EVENTS + 1 + node

    def caps(self, node: int) -> int:
        """Number of the text with a node's shared capacities."""
        return EVENTS + 1 + self.nodes + node

    def deliveries(self, node: int) -> int:
        """Number of the text with a node's packet-delivery traces."""
        return EVENTS + 1 + 2 * self.nodes + node

    @property
    def trunk_names(self) -> int:
        """Number of the text with the trunks' names, in the order of their slots."""
        return EVENTS + 1 + 3 * self.nodes


class State:
    """The file: a sign of life, counters, and numbered texts. Only one process may write it at a time.

    Args:
        fd: of the memfd.
        slots: of counters that it has room for; every process must give the same number.
        writable: whether this process may write.
    """

    def __init__(self, fd: int, slots: int, *, writable: bool = True) -> None:
        self._fd, self.slots = fd, slots
        self._generations: dict[int, int] = {}
        """Of the texts that this process has written."""
        self._texts_at = _HEADER + -(-slots * _SLOT // 4096) * 4096
        if writable and os.fstat(fd).st_size < self._texts_at:
            os.ftruncate(fd, self._texts_at)
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._numbers = memoryview(mmap.mmap(fd, self._texts_at, access=access)).cast("Q")

    def readable(self) -> int:
        """A new file descriptor for others, who can only read by it. Raises OSError."""
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)

    def counters(self, number: int) -> memoryview:
        """The numbers in one slot, to be changed in place."""
        start = (_HEADER + number * _SLOT) // 8
        return self._numbers[start : start + len(NAMES)]

    def beat(self, now: int) -> None:
        """Tell the supervisor that this process is alive (ns of the monotonic clock)."""
        self._numbers[_BEAT] = now

    @property
    def last_beat(self) -> int:
        """The time of the newest beat, ns of the monotonic clock; 0: there was none."""
        return self._numbers[_BEAT]

    def save(self, number: int, value: Any) -> None:
        """Write a new version of a text, as JSON, beside the current one, which stays valid until the new one is whole.

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
        """How many versions of a text have been written; far cheaper than load."""
        heads = (os.pread(self._fd, _TEXT_HEAD.size, self._at(number, which)) for which in (0, 1))
        return max((_TEXT_HEAD.unpack(head)[0] for head in heads if len(head) == _TEXT_HEAD.size), default=0)

    def load(self, number: int) -> Any:
        """The newest whole version of a text; None where there is none."""
        found = []
        for which in (0, 1):
            at = self._at(number, which)
            head = os.pread(self._fd, _TEXT_HEAD.size, at)
            if len(head) == _TEXT_HEAD.size:
                generation, length, check = _TEXT_HEAD.unpack(head)
                data = os.pread(self._fd, length, at + _TEXT_HEAD.size)
                if generation and zlib.crc32(data) == check:
                    found.append((generation, data))
        return json.loads(max(found)[1]) if found else None

    def _at(self, number: int, which: int) -> int:
        return self._texts_at + (2 * number + which) * _ROOM
