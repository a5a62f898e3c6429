"""The flows of a node and their changes. A flow is what one end of a TCP connection sends. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from harness.model.address import Addressing
from harness.netlink.tcp_info import Connection, OpenConnection, TcpInfo

_MAPPED: Final = bytes(10) + b"\xff\xff"
"""The prefix of an IPv4-mapped IPv6 address, of sockets that serve both."""


@dataclass(frozen=True)
class FlowProperties:
    """The properties of a flow, as in flows.jsonl.

    Args:
        id: unique in this run's attempt.
        src: the rank that sends.
        dst: the rank that receives.
        src_port, dst_port: their ports.
        congestion_control: e.g. ``cubic``.
        mss: bytes of payload in a segment.
    """

    id: int
    src: int
    dst: int
    src_port: int
    dst_port: int
    congestion_control: str
    mss: int


class FlowNews(NamedTuple):
    """Changes since the last sample: new flows, (flow id, sample) of changed ones, ids of ended ones."""

    begun: list[FlowProperties]
    samples: list[tuple[int, TcpInfo]]
    ended: list[int]


def ranks_by_address(addressing: Addressing, size: int) -> dict[bytes, int]:
    """Every node's rank by its addresses, in the format of Connection.remote."""
    found = {}
    for rank in range(size):
        for version in addressing.versions:
            address = addressing.address(rank, version)
            if isinstance(address, IPv4Address):
                found[address.packed + bytes(12)] = found[_MAPPED + address.packed] = rank
            else:
                found[address.packed] = rank
    return found


class FlowTable:
    """The flows of one node.

    Args:
        rank: of the node.
        size: of the network, to give flows of all nodes different ids.
        ranks: see ranks_by_address.
    """

    def __init__(self, rank: int, size: int, ranks: Mapping[bytes, int]) -> None:
        self._rank, self._ranks = rank, ranks
        self._ids = itertools.count(rank + 1, size)
        self._flows: dict[Connection, FlowProperties] = {}
        self._last: dict[Connection, TcpInfo] = {}

    @property
    def connections(self) -> list[Connection]:
        """The known connections to other nodes."""
        return list(self._flows)

    def discover(self, found: Iterable[OpenConnection]) -> list[FlowProperties]:
        """The new flows among all connections of the node."""
        begun = []
        for connection, control, mss in found:
            dst = self._ranks.get(connection.remote)
            if dst is None or dst == self._rank or connection in self._flows:
                continue
            flow = FlowProperties(next(self._ids), self._rank, dst, *connection.ports, control, mss)
            self._flows[connection] = flow
            begun.append(flow)
        return begun

    def update(self, seen: Sequence[tuple[Connection, TcpInfo | None]]) -> tuple[list[tuple[int, TcpInfo]], list[int]]:
        """(id, sample) of known flows that have changed, and the ids of those that have ended."""
        samples, ended = [], []
        for connection, info in seen:
            if info is None:
                ended.append(self._flows.pop(connection).id)
                self._last.pop(connection, None)
            elif info != self._last.get(connection):
                self._last[connection] = info
                samples.append((self._flows[connection].id, info))
        return samples, ended
