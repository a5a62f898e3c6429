"""NFLOG over raw netlink (linux/netfilter/nfnetlink_log.h): copies of packets that a rule hands to a group.

A group belongs to the socket that bound it and to that socket's network namespace, and vanishes with the socket. The
kernel numbers the packets, so a gap shows exactly how many found the socket's buffer full.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from harness.model.address import ETHERNET
from harness.netlink.nfnetlink import NETLINK_NETFILTER, NFPROTO_NETDEV, header
from harness.netlink.nlattr import NLM_F_ACK, NLMSG_ERROR, attr, attrs, message, messages, string

RECEIVE_BUFFER: Final = 32 << 20
"""Bytes of messages that may wait for us: some 30,000 packets."""
GROUPS: Final = range(0x4C00, 0x4C40)
"""A capture takes the first free one."""

_PACKET, _CONFIG = (4 << 8 | number for number in range(2))
_CFG_CMD, _CFG_MODE, _CFG_QTHRESH, _CFG_FLAGS = 1, 2, 5, 6
_BIND: Final = 1
_COPY_PACKET: Final = 2
_ALL: Final = 0xFFFF
_NUMBERED: Final = 1
_TIMESTAMP, _PAYLOAD, _PREFIX, _SEQ = 3, 9, 10, 12
_SO_RCVBUFFORCE: Final = 33
_MESSAGE: Final = 1 << 17


class Copy(NamedTuple):
    """One packet that a rule has logged.

    Args:
        number: the kernel's count of packets sent to the group.
        stamp: when it arrived or, where that is unknown, was logged, ns of CLOCK_REALTIME; 0: the kernel gave no time,
            as for packets that IP's hooks see leaving.
        prefix: of the rule.
        data: from the network header on, as much as the rule copies.
    """

    number: int
    stamp: int
    prefix: str
    data: bytes


class Nflog:
    """A netlink socket with one group, in the current network namespace.

    Raises:
        OSError: EPERM without CAP_NET_ADMIN, or where all GROUPS are taken; EINVAL where the kernel has no NFLOG.
    """

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:  # rootless: as much as the machine allows
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.socket.bind((0, 0))
        self.group = self._bind()
        mode = attr(_CFG_MODE, struct.pack(">IBx", _ALL, _COPY_PACKET))
        at_once = attr(_CFG_QTHRESH, struct.pack(">I", 1))
        self._configure(self.group, mode + at_once + attr(_CFG_FLAGS, struct.pack(">H", _NUMBERED)))

    def fileno(self) -> int:
        """The socket's file descriptor, for select."""
        return self.socket.fileno()

    def close(self) -> None:
        """Give up the group."""
        self.socket.close()

    def _bind(self) -> int:
        for group in GROUPS:
            with contextlib.suppress(PermissionError):  # also where another socket has it
                self._configure(group, attr(_CFG_CMD, struct.pack(">B", _BIND)))
                return group
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def _configure(self, group: int, attributes: bytes) -> None:
        """To be called before any rule logs to the group."""
        self.socket.send(message(_CONFIG, NLM_F_ACK, 1, header(0, group) + attributes))
        for kind, _, _, body in messages(self.socket.recv(_MESSAGE)):
            if kind == NLMSG_ERROR and (code := -struct.unpack_from("=i", body)[0]):
                raise OSError(code, os.strerror(code))

    def receive(self, most: int = 256) -> list[tuple[int, bytes]]:
        """At most ``most`` messages, for ``copies``, each with the time when it was read, ns of CLOCK_REALTIME."""
        found: list[tuple[int, bytes]] = []
        receive, now = self.socket.recv, time.time_ns
        for _ in range(most):
            try:
                data = receive(_MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError as problem:
                if problem.errno != errno.ENOBUFS:
                    raise
                continue  # the packets' numbers show how many are lost
            found.append((now(), data))
        return found


def copies(data: bytes) -> Iterator[Copy]:
    """The packets in a message that Nflog.receive returned."""
    for kind, _, _, body in messages(data):
        if kind == _PACKET:
            found = attrs(body[4:])
            payload = bytes(found.get(_PAYLOAD, b""))
            if body[0] == NFPROTO_NETDEV:  # it begins with the frame's header
                payload = payload[ETHERNET:]
            stamp = 0
            if _TIMESTAMP in found:
                seconds, micros = struct.unpack(">QQ", found[_TIMESTAMP])
                stamp = seconds * 1_000_000_000 + micros * 1000
            yield Copy(int.from_bytes(found[_SEQ]), stamp, string(found, _PREFIX), payload)
