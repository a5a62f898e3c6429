"""Sends a function's answer among the lines that it prints: in base64, each line with a random marker in front.

A program in a container has no way out but its standard streams, which the user's function writes to as well. Each
piece is one write of less than PIPE_BUF bytes, so that no other writer to the same pipe can split it, and starts a new
line.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Final

MORE: Final = b"+"
LAST: Final = b"."
_PIECE: Final = 2900
"""Bytes: with base64 and the marker this is less than PIPE_BUF, 4096 (pipe(7))."""


def pieces(marker: bytes, data: bytes) -> Iterator[bytes]:
    """What to write, one write each: a newline, which ends what the function printed, and a line."""
    for start in range(0, max(len(data), 1), _PIECE):
        kind = MORE if start + _PIECE < len(data) else LAST
        yield b"\n" + marker + kind + base64.b64encode(data[start : start + _PIECE]) + b"\n"


class ResultReader:
    """Takes the answer out of one rank's output.

    Args:
        marker: prefix of the answer's lines.
    """

    def __init__(self, marker: bytes) -> None:
        self._marker, self._empty = marker, 0
        self._parts: list[bytes] = []
        self.answer: bytes | None = None
        """The answer, once it is complete."""

    def feed(self, line: bytes) -> list[bytes]:
        """The user's lines up to this one. An empty line is held back: it may be the newline before a piece."""
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
        self._empty = max(0, self._empty - 1)  # one is the piece's own newline, unless that ended a partial line
        return self.end()

    def end(self) -> list[bytes]:
        """The empty lines that were held back."""
        count, self._empty = self._empty, 0
        return [b""] * count
