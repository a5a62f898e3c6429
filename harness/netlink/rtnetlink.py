"""One rtnetlink socket in the network namespace that opened it: batches of requests, and dumps."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from harness.netlink.nlattr import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLMSG_DONE,
    NLMSG_ERROR,
    attrs,
    message,
    messages,
)

_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_NETLINK_EXT_ACK: Final = 11
_NLM_F_CAPPED: Final = 0x100
_NLM_F_ACK_TLVS: Final = 0x200
_BUFFER: Final = 1 << 20
_CHUNK: Final = 96 * 1024
"""Bytes per sendmsg: the kernel copies a request into one contiguous skb."""


@dataclass(frozen=True)
class Refusal:
    """The kernel's answer to one request of a batch that failed.

    Args:
        index: of the request in the batch.
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


class Rtnetlink:
    """A netlink socket. Opened in the current network namespace, it stays there."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def batch(self, requests: Sequence[Request]) -> list[Refusal]:
        """Send all requests, in order; the kernel goes on after one that fails. Returns what it refused.

        Only the last request of a chunk asks for an acknowledgement: errors are always told.
        """
        refusals: list[Refusal] = []
        start = 0
        while start < len(requests):
            end, size = start, 0
            while end < len(requests) and (size == 0 or size + len(requests[end].body) < _CHUNK):
                size += len(requests[end].body) + 16
                end += 1
            refusals += self._chunk(requests[start:end], start)
            start = end
        return refusals

    def _chunk(self, requests: Sequence[Request], offset: int) -> list[Refusal]:
        first, last = self._sequence + 1, self._sequence + len(requests)
        self._sequence = last
        data = b"".join(
            message(r.kind, r.flags | (NLM_F_ACK if sequence == last else 0), sequence, r.body)
            for sequence, r in enumerate(requests, first)
        )
        self._socket.send(data)
        refusals = []
        while True:
            for kind, flags, sequence, body in messages(self._socket.recv(_BUFFER)):
                if kind != NLMSG_ERROR or not first <= sequence <= last:
                    continue
                code = -struct.unpack_from("=i", body)[0]
                if code:
                    refusals.append(Refusal(offset + sequence - first, code, _reason(code, flags, body)))
                if sequence == last:
                    return refusals

    def dump(self, kind: int, body: bytes) -> Iterator[memoryview]:
        """The bodies of every message of a dump. Raises OSError where the kernel refuses it."""
        self._sequence += 1
        self._socket.send(message(kind, NLM_F_DUMP, self._sequence, body))
        while True:
            for kind_, flags, sequence, found in messages(self._socket.recv(_BUFFER)):
                if sequence != self._sequence:
                    continue
                if kind_ == NLMSG_DONE:
                    return
                if kind_ == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", found)[0]
                    raise OSError(code, _reason(code, flags, found))
                yield found


def _reason(code: int, flags: int, body: memoryview) -> str:
    """The kernel's own words, with the error's name."""
    if flags & _NLM_F_ACK_TLVS:
        echoed = 16 if flags & _NLM_F_CAPPED else struct.unpack_from("=I", body, 4)[0]
        text = attrs(body[4 + echoed :]).get(1)
        if text is not None:
            return f"{bytes(text).rstrip(bytes(1)).decode(errors='replace')} ({os.strerror(code)})"
    return os.strerror(code)
