"""How a function's answer travels among the lines that it prints: base64, behind a marker that nothing else has.

A container's program has three streams and no other way out, and all but the answer on them is the user's. Every piece
goes with one write of less than PIPE_BUF bytes, which nothing else that writes to the same pipe can tear apart, and
begins a line of its own.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Final

MORE: Final = b"+"
LAST: Final = b"."
_PIECE: Final = 2900
"""Bytes; in base64 with a marker under PIPE_BUF, 4096 (pipe(7))."""


def pieces(marker: bytes, data: bytes) -> Iterator[bytes]:
    """What to write, one write each: an end of the line before, and a line."""
    for start in range(0, max(len(data), 1), _PIECE):
        kind = MORE if start + _PIECE < len(data) else LAST
        yield b"\n" + marker + kind + base64.b64encode(data[start : start + _PIECE]) + b"\n"


class ResultReader:
    """Takes the answer out of one rank's output.

    Args:
        marker: what lines of the answer begin with.
    """

    def __init__(self, marker: bytes) -> None:
        self._marker, self._empty = marker, 0
        self._parts: list[bytes] = []
        self.answer: bytes | None = None
        """The answer, once it is whole."""

    def feed(self, line: bytes) -> list[bytes]:
        """The lines of the user's that are known now; an empty one waits: it may belong to a piece."""
        if not line:
            self._empty += 1
            return []
        if not line.startswith(self._marker):
            return [*self.end(), line]
        kind, data = line[len(self._marker) :][:1], line[len(self._marker) + 1 :]
        self._parts.append(base64.b64decode(data))
        if kind == LAST:
            self.answer = b"".join(self._parts)
            self._parts.clear()
        self._empty = max(0, self._empty - 1)  # the end of the line before it, unless that had something
        return self.end()

    def end(self) -> list[bytes]:
        """Empty lines that were kept back."""
        count, self._empty = self._empty, 0
        return [b""] * count
