"""The changes of edges and nodes that an agent knows, and fingerprints by which agents compare what they know.

The command line uses it too; it is apart from protocol.py because importing asyncio takes 20 ms.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from harness.model.capacity import NodeShape
from harness.model.delivery import packed_traces, remember_traces
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan

Key = tuple[int, ...]
"""(src, dst) of a directed edge, (rank,) of a node."""


@dataclass(frozen=True)
class LimitEdit:
    """A node's uplink, downlink and share of a CPU."""

    rank: int
    shape: NodeShape

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in SI units."""
        return {"rank": self.rank, **self.shape.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        return cls(data["rank"], NodeShape.from_json(data))

    def __str__(self) -> str:
        return f"the limits of node {self.rank}"


Edited = PlannedEdge | LimitEdit


@dataclass
class Edits:
    """The newest change of each edge and node, with its time in nanoseconds since the epoch.

    A message has changes of edges in ``edits``, of nodes in ``nodes``, and packet-delivery traces of the edges in
    ``deliveries``; agents of older images know only the first.
    """

    _newest: dict[Key, tuple[int, Edited]] = field(default_factory=dict)

    def merge(self, message: Mapping[str, Any]) -> list[Edited]:
        """Keep the changes that are newer than what is known, and return them."""
        taken = {}
        for at, edited in _read(message):
            key = _key(edited)
            if key not in self._newest or at > self._newest[key][0]:
                self._newest[key] = at, edited
                taken[key] = edited
        return list(taken.values())

    def newer(self, message: Mapping[str, Any]) -> list[Edited]:
        """The edges and nodes in the message of which a newer change is known."""
        return [edited for at, edited in _read(message) if (known := self._newest.get(_key(edited))) and known[0] > at]

    def fresh(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a message that is newer than what is known."""
        newest = self._newest
        fresh = [(at, one) for at, one in _read(message) if _key(one) not in newest or at > newest[_key(one)][0]]
        return edits_message(fresh) if fresh else {}

    @property
    def fingerprint(self) -> str:
        """Equal on two nodes if and only if they know the same changes."""
        return fingerprint(sorted((key, at) for key, (at, _) in self._newest.items()))

    def to_json(self, chosen: Iterable[Edited] | None = None) -> dict[str, Any]:
        """The changes of these edges and nodes, or all, as JSON that ``merge`` reads."""
        keys = self._newest if chosen is None else [key for key in map(_key, chosen) if key in self._newest]
        return edits_message(self._newest[key] for key in keys)


def edits_message(edits: Iterable[tuple[int, Edited]]) -> dict[str, Any]:
    """Changes with their times, as JSON that ``Edits.merge`` reads."""
    edges, nodes = [], []
    traces: dict[str, str] = {}
    for at, edited in edits:
        if isinstance(edited, PlannedEdge):
            edges.append({"at": at, "edge": edited.to_json()})
            traces |= packed_traces([edited.shape.delivery])
        else:
            nodes.append({"at": at, "node": edited.to_json()})
    beside = {"nodes": nodes, "deliveries": traces}
    return {"edits": edges, **{key: value for key, value in beside.items() if value}}


def edited_plan(plan: NetworkPlan, edited: Iterable[Edited]) -> NetworkPlan:
    """The plan with these changes."""
    edges, shapes = [], {}
    for one in edited:
        if isinstance(one, PlannedEdge):
            edges.append(one)
        else:
            shapes[one.rank] = one.shape
    return plan.changed(edges).with_nodes(shapes)


def _read(message: Mapping[str, Any]) -> Iterator[tuple[int, Edited]]:
    remember_traces(message.get("deliveries", {}))
    for one in message.get("edits", ()):
        yield int(one["at"]), PlannedEdge.from_json(one["edge"])
    for one in message.get("nodes", ()):
        yield int(one["at"]), LimitEdit.from_json(one["node"])


def _key(edited: Edited) -> Key:
    return edited.pair if isinstance(edited, PlannedEdge) else (edited.rank,)


def fingerprint(value: Any) -> str:
    """A digest of JSON, e.g. of a plan, which is not sent again where both ends have the same."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
