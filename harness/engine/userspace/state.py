"""What outlives the process that holds the packets: its lines, their counters, and when it was last alive.

It is a file in memory (memfd) that the supervisor made; the process that comes after one that was killed reads there
what links to make and goes on counting.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from typing import Any, Final

from harness.engine.userspace.line import COUNTERS

_HEADER: Final = 4096
_SLOT: Final = 8 * COUNTERS
_CONFIG_ROOM: Final = 1 << 26
_CONFIG_HEAD: Final = struct.Struct("=QII")
_BEAT: Final = 0


class State:
    """The file. One process writes it at a time.

    Args:
        fd: of the memfd.
        lines: how many lines it has room for; the same for every process that opens it.
    """

    def __init__(self, fd: int, lines: int) -> None:
        self._fd, self._config_at = fd, _HEADER + -(-lines * _SLOT // 4096) * 4096
        if os.fstat(fd).st_size < self._config_at:
            os.ftruncate(fd, self._config_at)
        self._numbers = memoryview(mmap.mmap(fd, self._config_at)).cast("Q")
        self._generation = max((found[0] for found in map(self._read, (0, 1)) if found), default=0)

    def counters(self, line: int) -> memoryview:
        """The counters of one line, to be counted up in place."""
        start = (_HEADER + line * _SLOT) // 8
        return self._numbers[start : start + COUNTERS]

    def beat(self, now: int) -> None:
        """Tell the supervisor that we are alive (ns of the monotonic clock)."""
        self._numbers[_BEAT] = now

    @property
    def last_beat(self) -> int:
        """When the process was last alive, ns of the monotonic clock; 0 where it never was."""
        return self._numbers[_BEAT]

    def save(self, config: dict[str, Any]) -> None:
        """Write a new configuration beside the current one, which stays whole until the new one is."""
        data = json.dumps(config, separators=(",", ":")).encode()
        if len(data) > _CONFIG_ROOM - _CONFIG_HEAD.size:
            raise ValueError(f"a configuration of {len(data)} bytes is too large")
        self._generation += 1
        at = self._config_at + (self._generation & 1) * _CONFIG_ROOM
        os.pwrite(self._fd, data, at + _CONFIG_HEAD.size)
        os.pwrite(self._fd, _CONFIG_HEAD.pack(self._generation, len(data), zlib.crc32(data)), at)

    def load(self) -> dict[str, Any]:
        """The newest whole configuration; empty where there is none."""
        found = [read for read in map(self._read, (0, 1)) if read]
        config: dict[str, Any] = json.loads(max(found)[1]) if found else {}
        return config

    def _read(self, which: int) -> tuple[int, bytes] | None:
        at = self._config_at + which * _CONFIG_ROOM
        head = os.pread(self._fd, _CONFIG_HEAD.size, at)
        if len(head) < _CONFIG_HEAD.size:
            return None
        generation, length, check = _CONFIG_HEAD.unpack(head)
        data = os.pread(self._fd, length, at + _CONFIG_HEAD.size)
        return (generation, data) if generation and zlib.crc32(data) == check else None


def beat_of(fd: int) -> int:
    """When the process that writes this file was last alive; for the supervisor, which maps nothing."""
    return int.from_bytes(os.pread(fd, 8, 0), "little")
