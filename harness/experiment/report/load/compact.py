"""Samples in arrays, which read like tuples and dicts of records and take a fifth of the memory.

An experiment of 192 runs of two minutes each, with four nodes in a ring, has six million samples of edges and flows:
1.7 GB as objects.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, overload

from harness.experiment.report.load.network_records import EdgeCount, FlowSample
from harness.model.link import Pair

_COUNTS: Final = len(EdgeCount._fields)
_FLOW: Final = len(FlowSample._fields)


class EdgeCounts(Mapping[Pair, EdgeCount]):
    """The counters of edges at one time.

    Args:
        places: the index of each edge among the values; samples share this mapping.
        counts: of all edges, one after another, in the order of EdgeCount's fields.
    """

    __slots__ = ("_counts", "_places")

    def __init__(self, places: Mapping[Pair, int], counts: array[int]) -> None:
        self._places, self._counts = places, counts

    def __getitem__(self, edge: Pair) -> EdgeCount:
        at = self._places[edge] * _COUNTS
        return EdgeCount._make(self._counts[at : at + _COUNTS])

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def changed(self, edges: Mapping[Pair, Sequence[int]]) -> EdgeCounts:
        """A copy with new counters of some edges; itself where nothing differs."""
        counts, places = self._counts[:], self._places
        if new := [edge for edge in edges if edge not in places]:
            places = {**places, **{edge: place for place, edge in enumerate(new, len(places))}}
            counts.extend([0] * _COUNTS * len(new))
        for edge, values in edges.items():
            at = places[edge] * _COUNTS
            counts[at : at + _COUNTS] = array("q", values)
        return self if not new and counts == self._counts else EdgeCounts(places, counts)

    def sharing(self, known: dict[tuple[Pair, ...], Mapping[Pair, int]]) -> EdgeCounts:
        """A copy that shares its places with the first of the known ones with the same edges, else is added to them."""
        return EdgeCounts(known.setdefault(tuple(self._places), self._places), self._counts)


class FlowSamples(Sequence[FlowSample]):
    """The samples of one flow, sorted by time; ``values``: one sample after another, in the order of its fields."""

    __slots__ = ("_values",)

    def __init__(self, values: array[float]) -> None:
        self._values = values
        if any(after < before for before, after in pairwise(values[::_FLOW])):
            self._values = array("d", [value for sample in sorted(self) for value in sample])

    def __len__(self) -> int:
        return len(self._values) // _FLOW

    @overload
    def __getitem__(self, place: int) -> FlowSample: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[FlowSample]: ...
    def __getitem__(self, place: int | slice) -> FlowSample | Sequence[FlowSample]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        at = range(len(self))[place] * _FLOW
        return _sample(*self._values[at : at + _FLOW])

    def __iter__(self) -> Iterator[FlowSample]:
        values = iter(self._values)
        return (_sample(*row) for row in zip(*[values] * _FLOW, strict=True))


def _sample(
    time: float, cwnd: float, rtt: float, again: float, rate: float, acked: float, busy: float, held: float
) -> FlowSample:
    return FlowSample(time, int(cwnd), rtt, int(again), rate, int(acked), busy, held)
