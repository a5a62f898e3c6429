"""Samples one node: what its edges have counted, what its TCP has counted, and its flows."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from harness.linux.tcp import TcpCounterFile
from harness.model.link import Pair
from harness.model.plan import NetworkPlan
from harness.netlink.tcp_info import Connections, TcpInfo
from harness.sampling.flow_table import Flow, FlowNews, FlowTable, ranks_by_address
from harness.shaping.facts import engine_facts
from harness.shaping.meter import NOTHING, Counts, open_meter

_NO_DIAG: Final = (errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)


class NodeSample(NamedTuple):
    """One node at one moment.

    Args:
        edges: by (src, dst), those that its engine shapes there.
        tcp: segments that it has sent, and sent again; None: not of a node.
        flows: what is new about its flows.
        caps: by name as in links.jsonl, the shared capacities that its engine enforces there.
    """

    edges: Mapping[Pair, Counts]
    tcp: tuple[int, int] | None
    flows: FlowNews
    caps: Mapping[str, Counts] = MappingProxyType({})


@dataclass(frozen=True)
class Site:
    """What there is to know of a node in order to sample it.

    Args:
        rank: which.
        size: nodes of the network.
        pairs: by neighbour, the (src, dst) of every edge that its engine shapes there.
        ranks: see ranks_by_address.
        engine: the name of the one that shapes its edges.
    """

    rank: int
    size: int
    pairs: Mapping[int, Pair]
    ranks: Mapping[bytes, int]
    engine: str


def cap_name(name: str, rank: int) -> str:
    """What links.jsonl calls a capacity: ``uplink 2``; a trunk, which several nodes may report, as it is called."""
    return name if name.startswith("trunk ") else f"{name} {rank}"


def sites(plan: NetworkPlan, engine: str) -> list[Site]:
    """All nodes of a network."""
    facts, ranks = engine_facts(engine), ranks_by_address(plan.addressing, plan.size)
    pairs: list[dict[int, Pair]] = [{} for _ in range(plan.size)]
    for pair in plan.edges:
        rank = facts.enforced_at(pair)
        pairs[rank][pair[0] + pair[1] - rank] = pair
    return [Site(rank, plan.size, pairs[rank], ranks, engine) for rank in range(plan.size)]


class NodeSampler:
    """Reads in the network namespace in which it was made, wherever it is called from.

    Args:
        site: the node.

    Raises:
        OSError: something that it reads cannot be opened.
        UnavailableError: the shaper daemon does not run.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._meter = open_meter(site.engine, list(site.pairs))
        self._tcp = TcpCounterFile()
        self._connections = Connections()
        self._no_flows = ""
        """Why there are none."""
        self._table = FlowTable(site.rank, site.size, site.ranks)
        self._opened = self._segments = -1
        self._caps: Mapping[str, Counts] = {}

    def sample(self, *, thorough: bool) -> NodeSample:
        """Read everything once. Raises OSError.

        Args:
            thorough: whether flows are looked at although no segment came or went, as where one has timed out; and
                capacities where there was none.
        """
        counts, tcp = self._meter.read(), self._tcp.read()
        begun = self._discover(tcp.opened)
        segments = tcp.received + tcp.sent + tcp.retransmitted
        samples, ended = self._update() if begun or thorough or segments != self._segments else ([], [])
        self._segments = segments
        edges = {pair: counts.get(near, NOTHING) for near, pair in self._site.pairs.items()}
        if thorough or self._caps:
            self._caps = {cap_name(name, self._site.rank): counts for name, counts in self._meter.caps().items()}
        return NodeSample(edges, (tcp.sent, tcp.retransmitted), FlowNews(begun, samples, ended), self._caps)

    def _discover(self, opened: int) -> list[Flow]:
        """New flows, looked for where a connection was begun since the last time."""
        if opened == self._opened:
            return []
        try:
            found, opening = self._connections.all()
        except OSError as problem:
            if problem.errno not in _NO_DIAG:
                raise
            self._no_flows = f"this kernel does not tell of TCP connections (CONFIG_INET_DIAG): {problem.strerror}"
            found, opening = [], False
        self._opened = -1 if opening else opened
        return self._table.discover(found)

    def _update(self) -> tuple[list[tuple[int, TcpInfo]], list[int]]:
        known = self._table.connections
        return self._table.update(list(zip(known, self._connections.look(known), strict=True)))

    def notes(self) -> list[str]:
        """What has happened to the engine here, oldest first."""
        return [*self._meter.notes(), *filter(None, [self._no_flows])]

    def close(self) -> None:
        """Read no more."""
        self._meter.close()
        self._tcp.close()
        self._connections.close()
