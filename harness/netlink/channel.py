"""A netlink socket of any family, in the network namespace that opened it: requests, answers, dumps."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from harness.netlink.nlattr import NLM_F_ACK, NLM_F_DUMP, NLM_F_ECHO, NLMSG_DONE, NLMSG_ERROR, attrs, message, messages

_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_NETLINK_EXT_ACK: Final = 11
_NLM_F_CAPPED: Final = 0x100
_NLM_F_ACK_TLVS: Final = 0x200
_BUFFER: Final = 1 << 20
_MESSAGES: Final = 1 << 16
"""Bytes to receive at a time: a dump comes in parts of 32 KiB at most (netlink_dump in af_netlink.c)."""


@dataclass(frozen=True)
class Refusal:
    """The kernel's answer to one request that failed.

    Args:
        index: of the request among those that were sent together.
        errno: e.g. ENOENT.
        text: the kernel's own words where it has some (extended ack), else the error's name.
    """

    index: int
    errno: int
    text: str


@dataclass(frozen=True)
class Request:
    """One message: its type, flags and body."""

    kind: int
    flags: int
    body: bytes


class Channel:
    """A netlink socket. Opened in the current network namespace, it stays there.

    Args:
        protocol: NETLINK_ROUTE (0), NETLINK_NETFILTER (12).
    """

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()

    def ask(self, kind: int, body: bytes) -> memoryview | None:
        """The body of the one message that answers; None where the kernel says that there is no such thing."""
        number, answer = self._number(1), None
        self._socket.send(message(kind, NLM_F_ECHO | NLM_F_ACK, number, body))  # without echo tc answers nobody
        while True:
            for kind_, _, sequence, found in messages(self._socket.recv(_MESSAGES)):
                if sequence == number:
                    if kind_ == NLMSG_ERROR:
                        return answer
                    answer = found

    def dump(self, kind: int, body: bytes) -> Iterator[memoryview]:
        """The bodies of every message of a dump. Raises OSError where the kernel refuses it."""
        number = self._number(1)
        self._socket.send(message(kind, NLM_F_DUMP, number, body))
        while True:
            for kind_, flags, sequence, found in messages(self._socket.recv(_MESSAGES)):
                if sequence != number:
                    continue
                if kind_ == NLMSG_DONE:
                    return
                if kind_ == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", found)[0]
                    raise OSError(code, _reason(code, flags, found))
                yield found

    def _number(self, count: int) -> int:
        """The first of so many sequence numbers that follow each other."""
        first, self._sequence = self._sequence + 1, self._sequence + count
        return first

    def _answers(self, first: int, last: int) -> Iterator[tuple[int, int, str]]:
        """(sequence, errno or 0, reason) of every acknowledgement of these requests, up to the last one's."""
        while True:
            for kind, flags, sequence, body in messages(self._socket.recv(_MESSAGES)):
                if kind == NLMSG_ERROR and first <= sequence <= last:
                    code = -struct.unpack_from("=i", body)[0]
                    yield sequence, code, _reason(code, flags, body) if code else ""
                    if sequence == last:
                        return


def _reason(code: int, flags: int, body: memoryview) -> str:
    """The kernel's own words, with the error's name."""
    if flags & _NLM_F_ACK_TLVS:
        echoed = 16 if flags & _NLM_F_CAPPED else struct.unpack_from("=I", body, 4)[0]
        text = attrs(body[4 + echoed :]).get(1)
        if text is not None:
            return f"{bytes(text).rstrip(bytes(1)).decode(errors='replace')} ({os.strerror(code)})"
    return os.strerror(code)
