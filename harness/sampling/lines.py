"""The lines of links.jsonl and flows.jsonl (docs/runs.md), made of samples. Pure.

They are formatted by hand, because json.dumps takes four times as long, which would be most of the cost of a sample.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.model.link import Pair
from harness.sampling.node import NodeSample
from harness.shaping.counts import Counts


class LinkLines:
    """Lines of links.jsonl: each has the changes since the line before, or, on request, everything.

    Args:
        attempt: number of this attempt of the run.
    """

    def __init__(self, attempt: int) -> None:
        self._attempt = attempt
        self._edges: dict[Pair, Counts] = {}
        self._tcp: dict[int, tuple[int, int]] = {}
        self._caps: dict[str, Counts] = {}

    def line(self, now: float, samples: Mapping[int, NodeSample], *, full: bool) -> str:
        """The line for these samples; empty where nothing changed.

        Args:
            now: seconds since the epoch.
            samples: by rank; a node without one keeps its last values.
            full: whether the line has everything.
        """
        edges = {pair: counts for sample in samples.values() for pair, counts in sample.edges.items()}
        tcp = {rank: sample.tcp for rank, sample in samples.items() if sample.tcp is not None}
        caps = {name: counts for sample in samples.values() for name, counts in sample.caps.items()}
        if not full:
            edges = {pair: counts for pair, counts in edges.items() if counts != self._edges.get(pair)}
            tcp = {rank: counts for rank, counts in tcp.items() if counts != self._tcp.get(rank)}
            caps = {name: counts for name, counts in caps.items() if counts != self._caps.get(name)}
        self._edges |= edges
        self._tcp |= tcp
        self._caps |= caps
        if full:
            edges, tcp, caps = self._edges, self._tcp, self._caps
        if not edges and not tcp and not caps:
            return ""
        shared = f',"caps":[{",".join(_cap(name, counts) for name, counts in caps.items())}]' if caps else ""
        return (
            f'{{"time":{now:.4f},"attempt":{self._attempt}'
            f',"edges":[{",".join(_edge(pair, counts) for pair, counts in edges.items())}]'
            f'{shared},"tcp":{{{",".join(_tcp(rank, counts) for rank, counts in tcp.items())}}}}}'
        )


def _edge(pair: Pair, counts: Counts) -> str:
    return f'{{"src":{pair[0]},"dst":{pair[1]},{_counts(counts)}}}'


def _cap(name: str, counts: Counts) -> str:
    return f'{{"name":{json.dumps(name)},{_counts(counts)}}}'


def _counts(counts: Counts) -> str:
    packets, size, dropped, backlog, queued = counts
    return (
        f'"sent_packets":{packets},"sent_bytes":{size},"dropped":{dropped}'
        f',"backlog_bytes":{backlog},"backlog_packets":{queued}'
    )


def _tcp(rank: int, counts: tuple[int, int]) -> str:
    return f'"{rank}":{{"sent_segments":{counts[0]},"retransmitted_segments":{counts[1]}}}'


def flow_lines(now: float, attempt: int, samples: Mapping[int, NodeSample]) -> list[str]:
    """The lines of flows.jsonl for these samples: new flows, samples of those that changed, ended flows."""
    stamp = f'"time":{now:.4f},"attempt":{attempt}'
    news = [sample.flows for sample in samples.values()]
    begun = [
        f'{{"kind":"flow",{stamp},{json.dumps(vars(flow), separators=(",", ":"))[1:-1]}}}'
        for one in news
        for flow in one.begun
    ]
    rows = [f"[{flow},{','.join(map(str, info))}]" for one in news for flow, info in one.samples]
    changed = [f'{{"kind":"sample",{stamp},"flows":[{",".join(rows)}]}}'] if rows else []
    ended = [f'{{"kind":"end",{stamp},"id":{flow}}}' for one in news for flow in one.ended]
    return [*begun, *changed, *ended]
