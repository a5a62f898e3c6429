"""Cuts a stream of bytes into lines as it comes."""

from __future__ import annotations

LONGEST = 1 << 20
"""Bytes; a longer line comes in pieces."""


class LineSplitter:
    """Keeps an incomplete line until the rest of it comes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without newlines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [*lines, *self.end()] if len(self._rest) > LONGEST else lines

    def end(self) -> list[bytes]:
        """A last line without newline, if there is one."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []
