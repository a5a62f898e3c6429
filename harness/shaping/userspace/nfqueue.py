"""NFQUEUE over raw netlink (linux/netfilter/nfnetlink_queue.h): packets that wait in the kernel for our verdict.

A socket can own many queues of its network namespace. The kernel drops packets of a queue that nobody owns, and packets
that find the queue or the socket's buffer full.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from pathlib import Path
from typing import Final, NamedTuple

from harness.netlink.nfnetlink import NETLINK_NETFILTER
from harness.netlink.nlattr import NLM_F_ACK, NLMSG_ERROR, attr, message

DROP, ACCEPT = 0, 1
RECEIVE_BUFFER: Final = 32 << 20
"""Bytes of messages that may wait for us; about 40,000 packets."""
FULL_COPY: Final = 0xFFFF
LENGTH_ONLY: Final = 1
"""Bytes to copy where only a packet's length is wanted: without any the kernel does not report it."""
CE_MARK: Final = 0x7C02
"""Mark of packets into whose headers a rule writes CE (guard.py)."""

_SUBSYSTEM: Final = 3 << 8
_PACKET, _VERDICT, _CONFIG, _VERDICT_BATCH = (_SUBSYSTEM | number for number in range(4))
_CFG_CMD, _CFG_PARAMS, _CFG_QUEUE_MAXLEN, _CFG_MASK, _CFG_FLAGS = range(1, 6)
_BIND: Final = 1
_COPY_PACKET: Final = 2
_F_GSO: Final = 1 << 2
_PACKET_HDR, _VERDICT_HDR, _MARK, _TIMESTAMP, _PAYLOAD, _CAP_LEN = 1, 2, 3, 4, 10, 13
_SO_RCVBUFFORCE: Final = 33
_SOL_NETLINK: Final = 270
_NO_ENOBUFS: Final = 5
_MESSAGE: Final = 1 << 17
_HEADS: Final = struct.Struct("=HH")
_VERDICT_MESSAGE: Final = struct.Struct("=IHHII BB2s HH4s4s")
_PROC: Final = Path("/proc/self/net/netfilter/nfnetlink_queue")


WaitingPacket = tuple[int, int, int, int, bytes]
"""A packet that waits in the kernel: the queue's number; its id, which its verdict names (32 bits, ascending within a
queue); when it came in, ns of CLOCK_REALTIME, 0 without a stamp; bytes from the network header on, all of a
super-packet's; as much of it as the queue copies. A named tuple would take a third of the time spent on a packet."""


class Counters(NamedTuple):
    """The kernel's counts of a queue's packets since it was bound.

    Args:
        waiting: without a verdict.
        overflow: dropped because the queue was full.
        unread: dropped because the socket's buffer was full.
    """

    waiting: int
    overflow: int
    unread: int


class Nfqueue:
    """A netlink socket and the queues that it owns."""

    def __init__(self) -> None:
        self.socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
        )
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:  # rootless on older kernels, which grant only what net.core.rmem_max allows
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.socket.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        self.socket.bind((0, 0))
        self._sequence = 0
        self._early: list[bytes] = []
        self._layout = _Layout()

    def fileno(self) -> int:
        """The socket's file descriptor, for select."""
        return self.socket.fileno()

    def close(self) -> None:
        """Give up every queue; the kernel drops what waits in them."""
        self.socket.close()

    def bind(self, number: int, *, max_length: int, copy_bytes: int, segment: bool) -> None:
        """Own a queue.

        Args:
            number: of the queue, 0 to 65535.
            max_length: packets that may wait for a verdict; the kernel drops others.
            copy_bytes: how much of every packet the kernel copies to us.
            segment: whether the kernel first cuts super-packets into packets, with their checksums.

        Raises:
            OSError: EBUSY where another process owns the queue, EPERM without CAP_NET_ADMIN.
        """
        try:
            self._configure(number, attr(_CFG_CMD, struct.pack(">BxH", _BIND, 0)))
        except PermissionError:
            if number in counters():
                raise OSError(errno.EBUSY, f"NFQUEUE {number} is taken by another process") from None
            raise
        self.set(number, max_length=max_length, copy_bytes=copy_bytes, segment=segment)

    def set(self, number: int, *, max_length: int, copy_bytes: int, segment: bool) -> None:
        """Change a queue that we own; see bind."""
        flags = attr(_CFG_FLAGS, struct.pack(">I", 0 if segment else _F_GSO))
        mask = attr(_CFG_MASK, struct.pack(">I", _F_GSO))
        copy = attr(_CFG_PARAMS, struct.pack(">IB", copy_bytes, _COPY_PACKET))
        self._configure(number, copy + attr(_CFG_QUEUE_MAXLEN, struct.pack(">I", max_length)) + flags + mask)

    def _configure(self, number: int, attributes: bytes) -> None:
        self._sequence += 1
        with contextlib.suppress(BlockingIOError):  # make room in the buffer for the answer
            while True:
                self._early.append(self.socket.recv(_MESSAGE))
        body = struct.pack(">BBH", 0, 0, number) + attributes
        self.socket.send(message(_CONFIG, NLM_F_ACK, self._sequence, body))
        while True:
            try:
                answer = self.socket.recv(_MESSAGE)
            except BlockingIOError:
                raise OSError(errno.ENOBUFS, f"no answer from NFQUEUE {number}") from None
            _, kind, _, sequence = struct.unpack_from("=IHHI", answer)
            if kind != NLMSG_ERROR:
                self._early.append(answer)
            elif sequence == self._sequence:
                if code := -struct.unpack_from("=i", answer, 16)[0]:
                    raise OSError(code, f"NFQUEUE {number}: {os.strerror(code)}")
                return

    def receive(self, most: int = 64) -> list[WaitingPacket]:
        """At most ``most`` packets that have come; does not wait."""
        found: list[WaitingPacket] = []
        if self._early:
            early, self._early = self._early, []
            for data in early:
                if (packet := self._layout.read(data)) is not None:
                    found.append(packet)
        receive, read = self.socket.recv, self._layout.read
        try:
            for _ in range(most):
                if (packet := read(receive(_MESSAGE))) is not None:
                    found.append(packet)
        except BlockingIOError:
            pass
        return found

    def verdict(self, queue: int, packet_id: int, accept: bool) -> None:
        """Let one packet go on, or drop it."""
        self.send(verdict(queue, packet_id, accept))

    def send(self, verdicts: bytes) -> None:
        """Send concatenated verdicts of the functions below. Raises OSError."""
        self.socket.send(verdicts)


class _Layout:
    """Reads packet messages. The kernel puts the attributes of similar packets at the same places, so it first looks
    where an earlier message of the same length had them."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[struct.Struct, tuple[int, int], int]] = {}
        """By a message's length: how to unpack it; the attribute headers that must precede stamp and length; where the
        packet's copied bytes begin (a multiple of four), 0 where only its length is wanted."""

    def read(self, data: bytes) -> WaitingPacket | None:
        """The packet in a message; None in another kind of message."""
        if (known := self._places.get(len(data))) is None:
            return self._search(data)
        layout, heads, start = known
        queue, packet_id, stamp_head, seconds, micros, length_head, length = layout.unpack_from(data)
        if (stamp_head, length_head) != heads:
            return self._search(data)
        payload = data[start:] if start else b""
        return queue, packet_id, seconds * 1_000_000_000 + micros * 1000, length, payload

    def _search(self, data: bytes) -> WaitingPacket | None:
        size, kind = struct.unpack_from("=IH", data)
        if kind != _PACKET:
            return None
        queue = struct.unpack_from(">H", data, 18)[0]
        places: dict[int, tuple[int, int]] = {}
        offset = 20
        while offset + 4 <= size:
            length, attribute = _HEADS.unpack_from(data, offset)
            if length < 4:
                break
            places[attribute & 0x3FFF] = offset, length
            offset += (length + 3) & ~3
        packet_id = struct.unpack_from(">I", data, places[_PACKET_HDR][0] + 4)[0]
        stamp = 0
        if _TIMESTAMP in places:
            seconds, micros = struct.unpack_from(">QQ", data, places[_TIMESTAMP][0] + 4)
            stamp = seconds * 1_000_000_000 + micros * 1000
        payload = b""
        if _PAYLOAD in places:
            start, length = places[_PAYLOAD]
            payload = data[start + 4 : start + length]
        if _CAP_LEN not in places:
            return queue, packet_id, stamp, len(payload), payload
        total = struct.unpack_from(">I", data, places[_CAP_LEN][0] + 4)[0]
        if _TIMESTAMP in places and places[_PACKET_HDR][0] == 20:
            start = places[_PAYLOAD][0] + 4 if len(payload) > LENGTH_ONLY else 0
            self._learn(data, places[_TIMESTAMP][0], places[_CAP_LEN][0], start)
        return queue, packet_id, stamp, total, payload

    def _learn(self, data: bytes, stamp_at: int, length_at: int, start: int) -> None:
        if stamp_at >= 28 and length_at >= stamp_at + 20:
            layout = struct.Struct(f">18xH4xI{stamp_at - 28}xIQQ{length_at - stamp_at - 20}xII")
            stamp_head, length_head = (struct.unpack_from(">I", data, at)[0] for at in (stamp_at, length_at))
            self._places[len(data)] = layout, (stamp_head, length_head), start


def verdict(queue: int, packet_id: int, accept: bool) -> bytes:
    """The message that lets one packet go on, or drops it."""
    return _verdict(_VERDICT, queue, packet_id, ACCEPT if accept else DROP)


def accept_until(queue: int, packet_id: int) -> bytes:
    """The message that lets a packet and all that came into its queue before it go on, in their order."""
    return _verdict(_VERDICT_BATCH, queue, packet_id, ACCEPT)


def accept_changed(queue: int, packet_id: int, payload: bytes) -> bytes:
    """The message that lets a packet go on with other bytes from the network header on."""
    body = struct.pack(">BBH", 0, 0, queue) + attr(_VERDICT_HDR, struct.pack(">II", ACCEPT, packet_id))
    return message(_VERDICT, 0, 0, body + attr(_PAYLOAD, payload))


def accept_marked(queue: int, packet_id: int) -> bytes:
    """The message that lets a packet go on with CE_MARK, so that a rule writes CE into its header (guard.py)."""
    body = struct.pack(">BBH", 0, 0, queue) + attr(_VERDICT_HDR, struct.pack(">II", ACCEPT, packet_id))
    return message(_VERDICT, 0, 0, body + attr(_MARK, struct.pack(">I", CE_MARK)))


def _verdict(kind: int, queue: int, packet_id: int, what: int) -> bytes:
    return _VERDICT_MESSAGE.pack(
        32, kind, 1, 0, 0, 0, 0, queue.to_bytes(2), 12, _VERDICT_HDR, what.to_bytes(4), packet_id.to_bytes(4)
    )


class CounterFile:
    """The kernel's counters of all queues of the current network namespace, kept open; empty where it has none."""

    def __init__(self) -> None:
        self._fd: int | None = None
        with contextlib.suppress(OSError):
            self._fd = os.open(_PROC, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> dict[int, Counters]:
        """The counters of every bound queue, by number. Raises OSError."""
        if self._fd is None:
            return {}
        rows = [line.split(None, 7) for line in os.pread(self._fd, 1 << 20, 0).splitlines()]
        return {int(row[0]): Counters(int(row[2]), int(row[5]), int(row[6])) for row in rows}

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def counters() -> dict[int, Counters]:
    """The counters of every bound queue in the current network namespace; empty where the kernel has none."""
    with contextlib.closing(CounterFile()) as file, contextlib.suppress(OSError):
        return file.read()
    return {}
