"""Changes of edges since the plan was made, as they are passed between nodes: of each edge the newest counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.plan import Pair, PlannedEdge


@dataclass
class Edits:
    """By directed edge: when it was changed, in nanoseconds since the epoch, and to what."""

    _newest: dict[Pair, tuple[int, PlannedEdge]] = field(default_factory=dict)

    def merge(self, letters: Iterable[Mapping[str, Any]]) -> list[PlannedEdge]:
        """Take up what is newer; the edges that are."""
        taken = {}
        for letter in letters:
            edge, at = PlannedEdge.from_json(letter["edge"]), int(letter["at"])
            if edge.pair not in self._newest or at > self._newest[edge.pair][0]:
                self._newest[edge.pair] = at, edge
                taken[edge.pair] = edge
        return list(taken.values())

    def newer(self, letters: Iterable[Mapping[str, Any]]) -> list[PlannedEdge]:
        """Edges of which something newer than this is known."""
        edges = [(int(letter["at"]), PlannedEdge.from_json(letter["edge"])) for letter in letters]
        return [edge for at, edge in edges if edge.pair in self._newest and self._newest[edge.pair][0] > at]

    def to_json(self, pairs: Iterable[Pair] | None = None) -> list[dict[str, Any]]:
        """Plain JSON; merge reads it. Of these edges, or of all that were changed."""
        chosen = self._newest if pairs is None else [pair for pair in pairs if pair in self._newest]
        return [{"at": self._newest[pair][0], "edge": self._newest[pair][1].to_json()} for pair in chosen]


def edit(edge: PlannedEdge, at: int) -> dict[str, Any]:
    """One change as merge reads it."""
    return {"at": at, "edge": edge.to_json()}
