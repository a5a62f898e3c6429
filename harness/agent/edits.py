"""What agents know of changed edges, and how they and the command line tell whether they know the same.

Apart from protocol.py, because asyncio takes the command line 20 ms to import.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.link import Pair
from harness.model.node_plan import PlannedEdge


@dataclass
class Edits:
    """By directed edge: when it was changed, in nanoseconds since the epoch, and to what."""

    _newest: dict[Pair, tuple[int, PlannedEdge]] = field(default_factory=dict)

    def merge(self, messages: Iterable[Mapping[str, Any]]) -> list[PlannedEdge]:
        """Take up what is newer; the edges that are."""
        taken = {}
        for message in messages:
            edge, at = PlannedEdge.from_json(message["edge"]), int(message["at"])
            if edge.pair not in self._newest or at > self._newest[edge.pair][0]:
                self._newest[edge.pair] = at, edge
                taken[edge.pair] = edge
        return list(taken.values())

    def newer(self, messages: Iterable[Mapping[str, Any]]) -> list[PlannedEdge]:
        """Edges of which something newer than this is known."""
        edges = [(int(message["at"]), PlannedEdge.from_json(message["edge"])) for message in messages]
        return [edge for at, edge in edges if edge.pair in self._newest and self._newest[edge.pair][0] > at]

    def fresh(self, messages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those of the edits, as merge reads them, that are newer than what is known."""

        def is_fresh(message: Mapping[str, Any]) -> bool:
            known = self._newest.get((message["edge"]["src"], message["edge"]["dst"]))
            return known is None or int(message["at"]) > known[0]

        return [message for message in messages if is_fresh(message)]

    @property
    def fingerprint(self) -> str:
        """The same for two nodes exactly if they know the same changes."""
        known = sorted((pair, at) for pair, (at, _) in self._newest.items())
        return fingerprint(known)

    def to_json(self, pairs: Iterable[Pair] | None = None) -> list[dict[str, Any]]:
        """Plain JSON; merge reads it. Of these edges, or of all that were changed."""
        chosen = self._newest if pairs is None else [pair for pair in pairs if pair in self._newest]
        return [{"at": self._newest[pair][0], "edge": self._newest[pair][1].to_json()} for pair in chosen]


def edit(edge: PlannedEdge, at: int) -> dict[str, Any]:
    """One change as merge reads it."""
    return {"at": at, "edge": edge.to_json()}


def fingerprint(value: Any) -> str:
    """The same for equal JSON, e.g. of a plan that need not be sent again."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
