"""rtnetlink sockets: batches of requests, dumps, and notifications of changes."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Sequence
from typing import Final

from harness.netlink.channel import Channel, Refusal, Request
from harness.netlink.nlattr import NLM_F_ACK, message

__all__ = ["LinkWatch", "Refusal", "Request", "Rtnetlink"]

_GROUPS: Final = 1 << 0 | 1 << 3
"""RTNLGRP_LINK and RTNLGRP_TC (linux/rtnetlink.h)."""
_CHUNK: Final = 96 * 1024
"""Bytes per sendmsg: the kernel copies a request into one contiguous skb."""


class Rtnetlink(Channel):
    """A netlink socket for links, routes, qdiscs, classes and filters.

    pyroute2's batch wants an acknowledgement per message and does not say which one the kernel refused."""

    def __init__(self) -> None:
        super().__init__(socket.NETLINK_ROUTE)

    def batch(self, requests: Sequence[Request]) -> list[Refusal]:
        """Send all requests, in order; the kernel goes on after a failure. Returns what it refused."""
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
        first = self._number(len(requests))
        last = first + len(requests) - 1  # the only one that asks for an acknowledgement: errors come in any case
        data = b"".join(
            message(r.kind, r.flags | (NLM_F_ACK if sequence == last else 0), sequence, r.body)
            for sequence, r in enumerate(requests, first)
        )
        self._socket.send(data)
        return [
            Refusal(offset + sequence - first, code, reason)
            for sequence, code, reason in self._answers(first, last)
            if code
        ]


class LinkWatch:
    """Notices when interfaces, qdiscs, classes or filters change.

    The kernel reports every change, whoever makes it, before the changing system call returns.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, _GROUPS))

    def changed(self) -> bool:
        """Whether anything has changed since the last call."""
        news = False
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    self._socket.recv(1)
                except OSError as problem:
                    if problem.errno != errno.ENOBUFS:  # more news than the socket holds
                        raise
                news = True
        return news

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
