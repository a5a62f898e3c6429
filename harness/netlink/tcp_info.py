"""The TCP connections of a network namespace and their statistics, over INET_DIAG (linux/inet_diag.h).

A dump walks the kernel's table for all namespaces (262,144 places on a machine of 24 GB: 0.35 ms, however few
connections there are); a request for one connection takes 3 us. So call ``all`` seldom to find connections, and
``look`` often for those that are known.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from harness.netlink.channel import Channel
from harness.netlink.nlattr import NLMSG_ERROR, message

_SOCK_DIAG: Final = 4
_DUMP_ALL_FAMILIES, _BY_FAMILY = 18, 20
"""Types of request. The first (TCPDIAG_GETSOCK) walks the table once for IPv4 and IPv6, the other once for each."""
_WITH_INFO, _WITH_CONTROL = 1 << 1, 1 << 3
"""Extensions: a bit for INET_DIAG_INFO and one for INET_DIAG_CONG."""
_INFO, _CONG = 2, 4
_STATES: Final = sum(1 << state for state in (1, 4, 5, 8, 9, 11))
"""Established and not over yet: ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING."""
_OPENING: Final = sum(1 << state for state in (2, 3, 12))
"""Not established yet: SYN_SENT, SYN_RECV, NEW_SYN_RECV."""
_EMPTY: Final = bytes(48)
_ANSWER: Final = struct.Struct("=BB2x48s20x")
_PORTS: Final = struct.Struct(">HH")
_HEADER: Final = 16
"""Bytes of a netlink message's header."""
_SEQUENCE: Final = struct.Struct("=8xI")
_ATTRIBUTES: Final = _ANSWER.size
_ATTRIBUTE: Final = struct.Struct("=HH")
_TCP_INFO: Final = struct.Struct("=68xI8xI16xI16xQ32xQQQ")
"""Of struct tcp_info (linux/tcp.h): rtt, snd_cwnd, total_retrans, bytes_acked, delivery_rate, busy_time, rwnd_limited.
Kernels before 4.10 lack the last three."""
_MSS: Final = struct.Struct("=16xI")
_AT_ONCE: Final = 64
"""Connections per send: their answers, 1 kB each with the kernel's overhead, wait in the buffer."""


class TcpInfo(NamedTuple):
    """Statistics of a connection's sending direction.

    Args:
        cwnd: congestion window, in segments.
        rtt_us: smoothed round-trip time, in us.
        retransmits: segments retransmitted so far.
        delivery_rate: of the newest sample, in bytes/s; 0 where there is none yet.
        bytes_acked: bytes of payload that the other end has acknowledged so far, plus one for the handshake.
        busy_us: time so far with data unsent or unacknowledged, in us.
        rwnd_limited_us: the part of it in which only the other end's window limited sending, in us.
    """

    cwnd: int
    rtt_us: int
    retransmits: int
    delivery_rate: int
    bytes_acked: int
    busy_us: int
    rwnd_limited_us: int


class Connection(NamedTuple):
    """A TCP connection as one of its ends sees it.

    Args:
        family: AF_INET or AF_INET6.
        identity: the kernel's inet_diag_sockid (ports, addresses, interface, cookie): unique, also over time.
    """

    family: int
    identity: bytes

    @property
    def ports(self) -> tuple[int, int]:
        """This end's port, and the other's."""
        local, remote = _PORTS.unpack_from(self.identity)
        return local, remote

    @property
    def remote(self) -> bytes:
        """The other end's address: 16 bytes; an IPv4 address is followed by zeros, or mapped into IPv6."""
        return self.identity[20:36]


class OpenConnection(NamedTuple):
    """A connection of a dump.

    Args:
        connection: its identity.
        congestion_control: e.g. ``cubic``.
        mss: bytes of payload per segment that it sends.
    """

    connection: Connection
    congestion_control: str
    mss: int


class Connections(Channel):
    """A netlink socket that reads the TCP connections of the network namespace in which it was opened."""

    def __init__(self) -> None:
        super().__init__(_SOCK_DIAG)
        self._buffer = bytearray(8192)

    def all(self) -> tuple[list[OpenConnection], bool]:
        """Every connection, and whether others are being established. Raises OSError."""
        states = struct.pack("=II", _STATES | _OPENING, 0)
        request = struct.pack("=4B", 0, 0, 0, _WITH_INFO | _WITH_CONTROL) + _EMPTY + states
        answers = [bytes(body) for body in self.dump(_DUMP_ALL_FAMILIES, request)]
        return [found for body in answers if (found := read_found(body))], any(map(is_opening, answers))

    def look(self, connections: Sequence[Connection]) -> list[TcpInfo | None]:
        """The current statistics of each; None for a connection that is over. Raises OSError."""
        found: list[TcpInfo | None] = []
        for start in range(0, len(connections), _AT_ONCE):
            found += self._look(connections[start : start + _AT_ONCE])
        return found

    def _look(self, connections: Sequence[Connection]) -> list[TcpInfo | None]:
        first = self._number(len(connections))
        numbered = enumerate(connections, first)
        self._socket.send(b"".join(message(_BY_FAMILY, 0, number, _request(one)) for number, one in numbered))
        found: list[TcpInfo | None] = []
        while len(found) < len(connections):  # the kernel answered within send, one by one and in order
            size = self._socket.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
            if _SEQUENCE.unpack_from(self._buffer)[0] == first + len(found):  # not left from a call that failed
                found.append(read_answer(self._buffer, size))
        return found


def _request(connection: Connection) -> bytes:
    return struct.pack("=BBBxI", connection.family, socket.IPPROTO_TCP, _WITH_INFO, _STATES) + connection.identity


def read_found(body: bytes) -> OpenConnection | None:
    """The connection in a message of a dump; None where it is not established yet, or is over."""
    family, state, identity = _ANSWER.unpack_from(body)
    info, name = _attribute(body, _ATTRIBUTES, len(body), _INFO), _attribute(body, _ATTRIBUTES, len(body), _CONG)
    if info is None or not 1 << state & _STATES:
        return None
    control = "" if name is None else body[name[0] : name[1]].rstrip(b"\0").decode(errors="replace")
    return OpenConnection(Connection(family, identity), control, _MSS.unpack_from(body, info[0])[0])


def is_opening(body: bytes) -> bool:
    """Whether a message of a dump is about a connection that is being established."""
    return bool(1 << body[1] & _OPENING)


def read_answer(data: bytes | bytearray, size: int) -> TcpInfo | None:
    """The statistics in a whole message; None where the connection is over. Raises OSError for a refusal."""
    kind = int.from_bytes(data[4:6], "little")
    if kind == NLMSG_ERROR:
        code = -struct.unpack_from("=i", data, _HEADER)[0]
        if code == errno.ENOENT:
            return None
        raise OSError(code, os.strerror(code))
    place = _attribute(data, _HEADER + _ATTRIBUTES, size, _INFO)
    if place is None or not 1 << data[_HEADER + 1] & _STATES:
        return None
    start, end = place
    if end - start < _TCP_INFO.size:
        data, start = bytes(data[start:end]).ljust(_TCP_INFO.size, b"\0"), 0
    rtt, cwnd, retransmits, acked, rate, busy, limited = _TCP_INFO.unpack_from(data, start)
    return TcpInfo(cwnd, rtt, retransmits, rate, acked, busy, limited)


def _attribute(data: bytes | bytearray, at: int, end: int, wanted: int) -> tuple[int, int] | None:
    """Start and end of the payload of the first attribute of a type."""
    while at + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if kind == wanted:
            return at + 4, min(at + length, end)
        at += max(length + 3 & ~3, 4)
    return None
