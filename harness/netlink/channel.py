"""A netlink socket of any family, in the network namespace that opened it: requests, answers, dumps."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from harness.netlink.nlattr import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_ECHO,
    NLMSG_DONE,
    NLMSG_ERROR,
    attrs,
    message,
    messages,
    string,
)

_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_NETLINK_EXT_ACK: Final = 11
_NLM_F_CAPPED: Final = 0x100
_NLM_F_ACK_TLVS: Final = 0x200
_BUFFER: Final = 1 << 20
_MESSAGES: Final = 1 << 16
"""Bytes to receive at once: the kernel sends a dump in parts of 32 KiB at most (netlink_dump in af_netlink.c)."""


@dataclass(frozen=True)
class Refusal:
    """The kernel's answer to one request that failed.

    Args:
        index: of the request among those sent together.
        errno: e.g. ENOENT.
        text: the kernel's explanation (extended ack), or the error's name.
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
    """A netlink socket of the network namespace in which it is opened.

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
        """Close the socket."""
        self._socket.close()

    def ask(self, kind: int, body: bytes) -> memoryview | None:
        """The body of the one message that answers; None where the kernel has no such object."""
        number, answer = self._number(1), None
        self._socket.send(message(kind, NLM_F_ECHO | NLM_F_ACK, number, body))  # tc answers only with NLM_F_ECHO
        while True:
            for kind_, _, sequence, found in messages(self._socket.recv(_MESSAGES)):
                if sequence == number:
                    if kind_ == NLMSG_ERROR:
                        return answer
                    answer = found

    def dump(self, kind: int, body: bytes) -> Iterator[memoryview]:
        """The bodies of a dump's messages. Raises OSError where the kernel refuses it."""
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
        """Reserve ``count`` consecutive sequence numbers; returns the first."""
        first, self._sequence = self._sequence + 1, self._sequence + count
        return first

    def _answers(self, first: int, last: int) -> Iterator[tuple[int, int, str]]:
        """(sequence, errno or 0, reason) of the acknowledgements of requests first to last."""
        while True:
            for kind, flags, sequence, body in messages(self._socket.recv(_MESSAGES)):
                if kind == NLMSG_ERROR and first <= sequence <= last:
                    code = -struct.unpack_from("=i", body)[0]
                    yield sequence, code, _reason(code, flags, body) if code else ""
                    if sequence == last:
                        return


def _reason(code: int, flags: int, body: memoryview) -> str:
    """The kernel's explanation and the error's name."""
    if flags & _NLM_F_ACK_TLVS:
        echoed = 16 if flags & _NLM_F_CAPPED else struct.unpack_from("=I", body, 4)[0]
        if text := string(attrs(body[4 + echoed :]), 1):
            return f"{text} ({os.strerror(code)})"
    return os.strerror(code)
