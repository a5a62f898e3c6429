"""What the links allow: the least time that a collective can take on a plan, by any algorithm.

Hockney's model (Hockney 1994, "The communication challenge for MPP") gives a message of m bytes the time alpha + m
beta; Thakur, Rabenseifner and Gropp 2005 ("Optimization of collective communication operations in MPICH") and Chan,
Heimlich, Purkayastha and van de Geijn 2007 ("Collective communication: theory, practice, and experience") give the
classical terms for uniform networks. Here every link has its own alpha and beta, so both are taken from first
principles:

*alpha.* Data of rank s reach rank r no sooner than D(s, r), the least sum of link delays over any walk from s to r. Any
route, and any relaying by an algorithm, is such a walk. In a broadcast every r waits for the root; in the others every
rank waits for every rank. So T >= max D, at any size.

*beta.* Split the ranks in X and Y. Let s in X and r in Y be ranks such that r needs b bytes from s. These bytes cross
links X -> Y: the first byte no sooner than s can reach the near end of such a link; all such links together pass
``rate * t + burst`` bits in t; and the last byte still has to travel from its link to r. The three times follow each
other, hence their sum bounds T:

    T >= min over links D(s, near end)  +  (wire bits - burst) / rate  +  min over links (delay + D(far end, r))

Links with rates of their own pass the sum of these. Shared capacities (uplinks, downlinks, trunks) limit that sum
further (pipe.py). An engine may hold a packet in a shared capacity before or after its link's delay. So with shared
capacities and different delays, either the first byte has waited for the least delay or the last one still has it
ahead, and the last term is

    min over links delay  +  min over links D(far end, r).

Bytes that cross, with S and n as in nccl-tests: broadcast S, the root in X; all_reduce S (the sum over X is as large as
the data of one rank); all_gather |X| S/n; reduce_scatter |Y| S/n; all_to_all |X| |Y| S/n. Where b grows with the ranks
of a side, each part of them (the farthest, the two farthest, ...) gives a bound of its own.

*all_reduce* has a second bound: in a partition of the ranks in k parts each element must be sent between parts 2 (k -
1) times, the one-way calls until all of k know what each knew (Harary and Schwenk 1974, "The communication problem on
graphs and digraphs"). With a part per rank it is the bound of Patarasuk and Yuan 2009 ("Bandwidth optimal all-reduce
algorithms for clusters of workstations").

Every split gives a valid bound; which ones are tried decides only how tight the result is: each rank or region alone,
what the routes lead to behind each link (an island, the far side of a bridge), and ranks i to j (in a dense graph 0 to
j). The choice depends on the graph only: if it depended on rates, a faster link could lead to a better split and a
longer bound.

In *send_recv* an algorithm has no choice, so the routes count: all flows that share a link or capacity must pass it.

Not counted, so that the bound holds: loss, TCP's start and acknowledgements, computing, and jitter (a delay counts with
the least that jitter leaves of it). The kernel's htb, which makes some shared capacities, passes 1 ms' worth at once.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, get_args

from harness.errors import InputError, quoted
from harness.model.pipe import BoundLink, Pipe, SharedRates, payload_share
from harness.model.plan import NetworkPlan

Collective = Literal["all_reduce", "broadcast", "all_gather", "reduce_scatter", "all_to_all", "send_recv", "barrier"]
COLLECTIVES: Final[tuple[str, ...]] = get_args(Collective)


def bus_factor(collective: str, ranks: int) -> float:
    """Bus bandwidth / algorithm bandwidth, by nccl-tests' doc/PERFORMANCE.md."""
    if collective == "all_reduce":
        return 2 * (ranks - 1) / ranks
    if collective in ("all_gather", "reduce_scatter", "all_to_all"):
        return (ranks - 1) / ranks
    return 1.0


WIRE_SHARE: Final = 1 / payload_share()
"""Bytes that a rate counts per byte carried, at an MTU of 1500 and without overhead."""
_SPARSE: Final = 4
"""Edges per rank up to which a graph is sparse, so that all O(ranks ** 2) intervals are tried."""


@dataclass(frozen=True)
class _Cut:
    """The links from X to Y, by their own rates or by what they share.

    Args:
        pipe: all links together.
        from_root: seconds from rank 0 to the nearest link, or None where rank 0 is in Y.
        before: (k, t) where k ranks of X are t seconds or more from the nearest link; longest t first.
        after: (k, t) where k ranks of Y are t seconds or more from any link; longest t first.
    """

    pipe: Pipe
    from_root: float | None
    before: list[tuple[int, float]]
    after: list[tuple[int, float]]

    def seconds(self, collective: str, size: float, ranks: int) -> float:
        """The bound that this cut gives."""
        block = size / ranks
        (_, before), (_, after) = self.before[0], self.after[0]
        if collective == "broadcast":
            return 0.0 if self.from_root is None else self.from_root + self.pipe.seconds(size) + after
        if collective == "all_reduce":
            return before + self.pipe.seconds(size) + after
        if collective == "all_gather":
            return self._farthest(self.before, block) + after
        if collective == "reduce_scatter":
            return self._farthest(self.after, block) + before
        (senders, nearest_sender), (receivers, nearest_receiver) = self.before[-1], self.after[-1]
        return max(
            self._farthest(self.before, block * receivers) + nearest_receiver,
            self._farthest(self.after, block * senders) + nearest_sender,
        )

    def _farthest(self, delays: list[tuple[int, float]], each: float) -> float:
        """The largest bound over k: the bytes of the k farthest ranks cross after the delay of the nearest of them."""
        return max(delay + self.pipe.seconds(each * count) for count, delay in delays)


def _staircase(delays: Iterable[float]) -> list[tuple[int, float]]:
    """For each distinct delay, how many are at least as long; longest first."""
    counts = {delay: count for count, delay in enumerate(sorted(delays, reverse=True), 1)}
    return [(count, delay) for delay, count in counts.items()]


class LinkBound:
    """The bounds of one plan. Use one instance for a whole sweep: it computes what all sizes share once."""

    def __init__(self, plan: NetworkPlan) -> None:
        self._plan = plan
        self._size = plan.size
        self._rates = SharedRates(plan)
        self._links = self._rates.links

    def seconds(self, collective: str, size: int) -> float:
        """The least time that a collective can take on these links.

        Args:
            collective: one of COLLECTIVES; a broadcast's root is rank 0, send_recv sends from each rank to the next.
            size: bytes, as nccl-tests defines them (see harness.training.bench).

        Returns:
            0.0 where no link limits it; infinity where links are down and leave no path.

        Raises:
            InputError: unknown collective, or a negative size.
        """
        if collective not in COLLECTIVES:
            raise InputError(f"collective {quoted(collective)} is unknown; one of {', '.join(COLLECTIVES)}")
        if size < 0:
            raise InputError(f"a size of {size} bytes is negative")
        if self._size < 2:
            return 0.0
        if collective == "send_recv":
            return self._send_recv(size)
        rows = self._reach[:1] if collective == "broadcast" else self._reach
        alpha = max(map(max, rows)) / 1e9
        if collective == "barrier" or size == 0 or alpha == math.inf:
            return alpha
        bounds = [alpha, *(cut.seconds(collective, size, self._size) for cut in self._cuts)]
        if collective == "all_reduce":
            bounds += [delay + pipe.seconds(2 * (parts - 1) * size) for parts, delay, pipe in self._partitions]
        return max(bounds)

    def _send_recv(self, size: int) -> float:
        alive = {(link.src, link.dst): link for link in self._links}
        crossings: dict[Hashable, list[tuple[int, int, int]]] = {}
        pipes: dict[Hashable, Pipe] = {}
        longest = 0.0
        for src in range(self._size):
            pairs = [edge.pair for edge in self._plan.path(src, (src + 1) % self._size)]
            if any(pair not in alive for pair in pairs):
                return math.inf
            total, before = sum(alive[pair].delay_ns for pair in pairs), 0
            for link in map(alive.__getitem__, pairs):
                after = total - before - link.delay_ns
                for key, pipe in self._crossed(link).items():
                    pipes[key] = pipe
                    longest = max(longest, total / 1e9 + pipe.seconds(size))
                    crossings.setdefault(key, []).append((before, link.delay_ns, after))
                before += link.delay_ns
        for key, flows in crossings.items():
            delay = sum(map(min, zip(*flows, strict=True))) / 1e9
            longest = max(longest, delay + pipes[key].seconds(size * len(flows)))
        return longest

    def _crossed(self, link: BoundLink) -> dict[Hashable, Pipe]:
        """The link itself and the capacities that it shares."""
        caps = {key: Pipe(((self._rates.limits[key], 0.0),)) for key in link.caps.values()}
        return {(link.src, link.dst): self._rates.alone([link]), **caps}

    @cached_property
    def _reach(self) -> list[list[float]]:
        """D in ns, by Floyd's and Warshall's algorithm."""
        reach = [[0.0 if src == dst else math.inf for dst in range(self._size)] for src in range(self._size)]
        for link in self._links:
            reach[link.src][link.dst] = min(link.delay_ns, reach[link.src][link.dst])
        for via in range(self._size):
            onward = reach[via]
            for src, row in enumerate(reach):
                first = row[via]
                if first < math.inf and src != via:
                    reach[src] = [min(old, first + new) for old, new in zip(row, onward, strict=True)]
        return reach

    @cached_property
    def _cuts(self) -> list[_Cut]:
        """Both directions of every split that is tried, without those that nothing limits."""
        everyone = (1 << self._size) - 1
        sides = {min(side, everyone ^ side) for side in self._splits()} - {0}
        return [cut for side in sorted(sides) for near in (side, everyone ^ side) for cut in self._cut(near)]

    def _splits(self) -> Iterator[int]:
        """Sets of ranks, as bit masks."""
        yield from (sum(1 << rank for rank in ranks) for ranks in self._plan.regions.values())
        edges = len(self._plan.edges) / 2
        intervals_from = range(self._size if self._size <= edges <= _SPARSE * self._size else 1)
        for rank in range(self._size):
            yield 1 << rank
            behind: dict[int, int] = {}
            for dst, hop in self._plan.next_hops.get(rank, {}).items():
                behind[hop] = behind.get(hop, 0) | 1 << dst
            yield from behind.values()
            yield from ((2 << rank) - (1 << first) for first in intervals_from if first < rank)

    def _cut(self, near: int) -> Iterator[_Cut]:
        """The links from this set of ranks to the others: by their own rates, and by shared capacities."""
        links = [link for link in self._links if near >> link.src & 1 and not near >> link.dst & 1]
        alone, shared = self._rates.alone(links), self._rates.shared(links)
        if not links or not (alone.limits or shared.limits):
            return
        tails = {link.src for link in links}
        reach = self._reach
        before = {
            rank: min(map(reach[rank].__getitem__, tails)) / 1e9 for rank in range(self._size) if near >> rank & 1
        }
        heads: dict[int, int] = {}
        for link in links:
            heads[link.dst] = min(link.delay_ns, heads.get(link.dst, link.delay_ns))
        least = dict.fromkeys(heads, min(heads.values()))
        for pipe, delays in ((alone, heads), (shared, least)):
            if pipe.limits:
                after = [
                    min(delay + reach[head][rank] for head, delay in delays.items()) / 1e9
                    for rank in range(self._size)
                    if not near >> rank & 1
                ]
                yield _Cut(pipe, before.get(0), _staircase(before.values()), _staircase(after))

    @cached_property
    def _partitions(self) -> list[tuple[int, float, Pipe]]:
        """Per partition: number of parts, the least delay of a link between parts in seconds, all those links together.

        The partitions: one part per rank; one per region; and, for each rank, the destinations behind each relaying
        neighbour, and the rest (for the gateway of an island, these are the islands).
        """
        home = {rank: number for number, ranks in enumerate(self._plan.regions.values()) for rank in ranks}
        partitions = {tuple(range(self._size)), tuple(home.get(rank, -1) for rank in range(self._size))}
        for hops in self._plan.next_hops.values():
            relays = {hop for dst, hop in hops.items() if hop != dst}
            partitions.add(tuple(hop if (hop := hops.get(dst, -1)) in relays else -1 for dst in range(self._size)))
        found = []
        for parts in partitions:
            between = [link for link in self._links if parts[link.src] != parts[link.dst]]
            if between:
                delay = min(link.delay_ns for link in between) / 1e9
                pipe = Pipe(self._rates.alone(between).lines + self._rates.shared(between).lines)
                found.append((len(set(parts)), delay, pipe))
        return found
