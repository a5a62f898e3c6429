"""Reads only some packets of a socket, but counts all.

At 60,000 packets a second a reader in Python needs more of a small machine than the link does, and reads most of them
late. So a filter in the kernel (classic BPF, linux/filter.h) passes one packet in ``one_in`` at random. The kernel
counts rejected packets as drops of the socket, like those that find its buffer full, and reports the count with every
packet that is read.
"""

from __future__ import annotations

import array
import socket
import struct
from typing import Final

_SO_ATTACH_FILTER, _SO_DETACH_FILTER, _SO_RXQ_OVFL, _SO_MEMINFO = 26, 27, 40, 55
"""asm-generic/socket.h; Python has no names for them."""
_DROPS: Final = struct.Struct("@I")
_MEMINFO: Final = struct.Struct("@9I")
"""linux/sock_diag.h: the last one counts drops."""
_INSTRUCTION: Final = struct.Struct("@HBBI")
"""Opcode, instructions to skip if true and if false, operand."""
_PROGRAM: Final = struct.Struct("@HP")
_LOAD, _AND, _IF_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_RANDOM: Final = 0xFFFFF000 + 56
"""SKF_AD_OFF + SKF_AD_RANDOM: loading from there loads a random number."""
_WHOLE: Final = 0xFFFFFFFF

ROOM: Final = socket.CMSG_SPACE(_DROPS.size)
"""Bytes of ancillary data in which the kernel reports the drops."""


class SkippedPackets:
    """Counts the packets that a UDP socket skips, because of the filter or because its buffer is full."""

    def __init__(self, of: socket.socket) -> None:
        self._socket = of
        self._seen = 0
        self.on = False

    def start(self, one_in: int) -> bool:
        """From now on, read one packet in ``one_in``, a power of two.

        Returns False on a kernel that does not report drops (before 4.12): the socket then reads all packets.
        """
        self.stop()
        program = array.array(
            "B",
            _INSTRUCTION.pack(_LOAD, 0, 0, _RANDOM)
            + _INSTRUCTION.pack(_AND, 0, 0, one_in - 1)
            + _INSTRUCTION.pack(_IF_EQUAL, 0, 1, 0)
            + _INSTRUCTION.pack(_RETURN, 0, 0, _WHOLE)
            + _INSTRUCTION.pack(_RETURN, 0, 0, 0),
        )
        address, size = program.buffer_info()
        try:
            self._seen = self._dropped()
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            self._socket.setsockopt(
                socket.SOL_SOCKET, _SO_ATTACH_FILTER, _PROGRAM.pack(size // _INSTRUCTION.size, address)
            )
        except OSError:
            return False
        self.on = True
        return True

    def stop(self) -> None:
        """Read every packet again."""
        if self.on:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 0)
        self.on = False

    def skipped(self, ancillary: list[tuple[int, int, bytes]]) -> int:
        """How many packets were skipped between the previous read and the one with this ancillary data."""
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                before, self._seen = self._seen, _DROPS.unpack(data)[0]
                return (self._seen - before) & _WHOLE
        return 0

    def skipped_since(self) -> int:
        """How many packets were skipped since the last read."""
        return (self._dropped() - self._seen) & _WHOLE if self.on else 0

    def _dropped(self) -> int:
        counts = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        return int(_MEMINFO.unpack(counts)[-1])
