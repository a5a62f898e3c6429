"""A netlink socket for netfilter (linux/netfilter/nfnetlink.h): transactions and dumps of nf_tables.

nf_tables' integers are big-endian, and an attribute that holds attributes has the flag NLA_F_NESTED.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from harness.netlink.channel import Channel, Refusal, Request
from harness.netlink.nlattr import NLM_F_ACK, attr, message

NFPROTO_IPV4: Final = 2
NFPROTO_NETDEV: Final = 5
NFPROTO_IPV6: Final = 10
NLM_F_APPEND: Final = 0x800
WHOLE: Final = -1
"""Index of a refusal of the whole transaction: not permitted, no such subsystem, or the commit failed."""
NETLINK_NETFILTER: Final = 12
"""Python has no name for it before 3.13."""

_NLA_F_NESTED: Final = 0x8000
_BATCH_BEGIN: Final = 0x10
_BATCH_END: Final = 0x11
_HEADER: Final = struct.Struct(">BBH")


def header(family: int, resource: int = 0) -> bytes:
    """The start of every message's body (struct nfgenmsg)."""
    return _HEADER.pack(family, 0, resource)


def integer(kind: int, value: int) -> bytes:
    """An attribute with a 32-bit integer, big-endian."""
    return attr(kind, struct.pack(">I", value & 0xFFFF_FFFF))


def nest(kind: int, *inner: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attr(kind | _NLA_F_NESTED, b"".join(inner))


class Nfnetlink(Channel):
    """A netlink socket for netfilter. A request's type is its subsystem << 8 | message."""

    def __init__(self) -> None:
        super().__init__(NETLINK_NETFILTER)

    def transaction(self, requests: Sequence[Request]) -> list[Refusal]:
        """Send requests of one subsystem; the kernel carries out all of them, or none where it refuses any.

        Returns what the kernel refused: it tries the others after a failure, so there may be several, and an index of
        WHOLE means the transaction itself. Raises OSError (EMSGSIZE) where the requests do not fit into one send
        buffer (425 kB by default, some 1500 rules).
        """
        if not requests:
            return []
        begin = self._number(len(requests) + 2)
        last = begin + len(requests)
        bracket = header(0, requests[0].kind >> 8)
        parts = [message(_BATCH_BEGIN, 0, begin, bracket)]
        parts += [
            message(r.kind, r.flags | (NLM_F_ACK if sequence == last else 0), sequence, r.body)
            for sequence, r in enumerate(requests, begin + 1)
        ]
        parts.append(message(_BATCH_END, 0, last + 1, bracket))
        self._socket.send(b"".join(parts))
        refusals = []
        for sequence, code, reason in self._answers(begin, last):
            if sequence == begin and code:  # nothing was done, and the other requests may get no answer
                return [Refusal(WHOLE, code, reason)]
            if code:
                refusals.append(Refusal(sequence - begin - 1, code, reason))
        return refusals
