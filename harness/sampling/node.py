"""Samples one node: counters of its edges and of its TCP, and its flows."""

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
from harness.sampling.flow_table import FlowNews, FlowProperties, FlowTable, ranks_by_address
from harness.shaping.counts import NOTHING, Counts
from harness.shaping.facts import engine_facts
from harness.shaping.meter import open_meter

_NO_DIAG: Final = (errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)


class NodeSample(NamedTuple):
    """A sample of one node.

    Args:
        edges: counters by (src, dst) of the edges that its engine shapes.
        tcp: segments sent and retransmitted; None: of the bridge.
        flows: changes of its flows.
        caps: counters of the shared capacities that its engine enforces, by name as in links.jsonl.
    """

    edges: Mapping[Pair, Counts]
    tcp: tuple[int, int] | None
    flows: FlowNews
    caps: Mapping[str, Counts] = MappingProxyType({})


@dataclass(frozen=True)
class Site:
    """The facts about a node that its sampler needs.

    Args:
        rank: of the node.
        size: nodes of the network.
        pairs: by neighbour, the (src, dst) of the edge that its engine shapes.
        ranks: see ranks_by_address.
        engine: name of its engine.
    """

    rank: int
    size: int
    pairs: Mapping[int, Pair]
    ranks: Mapping[bytes, int]
    engine: str


def cap_name(name: str, rank: int) -> str:
    """The name of a capacity in links.jsonl: ``uplink 2``; a trunk, which several nodes may report, has no rank."""
    return name if name.startswith("trunk ") else f"{name} {rank}"


def sites(plan: NetworkPlan, engine: str) -> list[Site]:
    """The sites of all nodes of a network."""
    facts, ranks = engine_facts(engine), ranks_by_address(plan.addressing, plan.size)
    pairs: list[dict[int, Pair]] = [{} for _ in range(plan.size)]
    for pair in plan.edges:
        rank = facts.enforced_at(pair)
        pairs[rank][pair[0] + pair[1] - rank] = pair
    return [Site(rank, plan.size, pairs[rank], ranks, engine) for rank in range(plan.size)]


class NodeSampler:
    """Samples the network namespace in which it was made, also when called from another one.

    Raises:
        OSError: a source of counters cannot be opened.
        UnavailableError: the shaper daemon does not run.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._meter = open_meter(site.engine, list(site.pairs))
        self._tcp = TcpCounterFile()
        self._connections = Connections()
        self._no_flows = ""
        """Why flows cannot be read, if so."""
        self._table = FlowTable(site.rank, site.size, site.ranks)
        self._opened = self._segments = -1
        self._caps: Mapping[str, Counts] = {}

    def sample(self, *, thorough: bool) -> NodeSample:
        """Read everything once. Raises OSError.

        Args:
            thorough: whether to read flows although no segment came or went (one may have timed out), and capacities
                although there were none.
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

    def _discover(self, opened: int) -> list[FlowProperties]:
        """New flows, if a connection was opened since the last sample."""
        if opened == self._opened:
            return []
        try:
            found, opening = self._connections.all()
        except OSError as problem:
            if problem.errno not in _NO_DIAG:
                raise
            self._no_flows = f"this kernel cannot list TCP connections (CONFIG_INET_DIAG): {problem.strerror}"
            found, opening = [], False
        self._opened = -1 if opening else opened
        return self._table.discover(found)

    def _update(self) -> tuple[list[tuple[int, TcpInfo]], list[int]]:
        known = self._table.connections
        return self._table.update(list(zip(known, self._connections.look(known), strict=True)))

    def notes(self) -> list[str]:
        """Events of the engine here, oldest first."""
        return [*self._meter.notes(), *filter(None, [self._no_flows])]

    def close(self) -> None:
        """Close all files and sockets."""
        self._meter.close()
        self._tcp.close()
        self._connections.close()
