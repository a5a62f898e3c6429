"""Ends TCP connections of the current network namespace, as ``ss --kill`` does (linux/inet_diag.h)."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from harness.netlink.channel import Channel
from harness.netlink.nlattr import NLM_F_ACK, message

_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY, _SOCK_DESTROY = 20, 21
_REQUEST: Final = struct.Struct("=BBBxI")
"""Family, protocol, extensions, states; the identity of a socket follows."""
_IDENTITY: Final = 48
_REMOTE: Final = slice(24, 40)
"""Bytes of the remote address in an answer: it follows 4 bytes, the ports and the local address."""
_ALL_BUT_LISTENING: Final = 0xFFF & ~(1 << 10)


class SockDiag(Channel):
    """A netlink socket that sees the sockets of its network namespace."""

    def __init__(self) -> None:
        super().__init__(_SOCK_DIAG)

    def end_connections(self, address: IPv4Address | IPv6Address) -> int:
        """Make every TCP connection with an address fail at once (ECONNABORTED); returns how many there were.

        Raises:
            OSError: the kernel cannot (CONFIG_INET_DIAG_DESTROY), or this process may not (CAP_NET_ADMIN).
        """
        if address.version == 6:
            return self._end(socket.AF_INET6, address.packed)
        mapped = bytes(10) + b"\xff\xff" + address.packed  # as IPv6 sockets that also serve IPv4 have it
        return self._end(socket.AF_INET, address.packed.ljust(16, b"\0")) + self._end(socket.AF_INET6, mapped)

    def _end(self, family: int, remote: bytes) -> int:
        header = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _ALL_BUT_LISTENING)
        dump = self.dump(_SOCK_DIAG_BY_FAMILY, header + bytes(_IDENTITY))
        found = [bytes(body[4 : 4 + _IDENTITY]) for body in dump if body[_REMOTE] == remote]
        for identity in found:
            self._destroy(header + identity)
        return len(found)

    def _destroy(self, body: bytes) -> None:
        number = self._number(1)
        self._socket.send(message(_SOCK_DESTROY, NLM_F_ACK, number, body))
        for _, code, reason in self._answers(number, number):
            if code not in (0, errno.ENOENT):  # ENOENT: the connection has ended by itself
                raise OSError(code, reason)
