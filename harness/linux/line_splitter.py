"""A stream of bytes, cut into lines as it comes."""

from __future__ import annotations

LONGEST = 1 << 20
"""Bytes; a longer line is passed on in pieces."""


class LineSplitter:
    """Keeps what has come of a line until the rest of it has."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now, without their newlines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [*lines, *self.end()] if len(self._rest) > LONGEST else lines

    def end(self) -> list[bytes]:
        """A last line without newline, if there is one: nothing more comes."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []
