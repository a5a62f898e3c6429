"""What to send through a shared capacity to measure it, from all its senders at once. Pure.

The sum of what arrives is the capacity's rate while all flows keep it busy. So each sends more than its fair share, but
no more than its own edge carries, and the estimate comes from the second half of the time in which all arrive. The
receivers wait until the capacity's buffer is empty, so that it does not disturb the next measurement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from harness.model.link import LinkShape, Pair
from harness.model.plan import NetworkPlan
from harness.verify.caps import Cap, CapPlace, caps_of, crossed, frame_rate, met_alone
from harness.verify.edge_probe import READS_PER_S
from harness.verify.plan import burst_segments, longest_delay, overdrive_of, spread_of
from harness.verify.rounds import first_fit
from harness.verify.sharing import fair_shares

_LOAD_S: Final = 2.0
"""How long the senders send, unless jitter or slow flows need longer."""
_FRAMES: Final = 60
"""Full frames of every flow in the half that is evaluated."""
_FEWEST_FRAMES: Final = 12
_MOST: Final = 4.0
"""A load may take this many times the seconds for an edge."""
_MARGIN_S: Final = 0.3
_FAST_BIT_S: Final = 100_000_000


@dataclass(frozen=True)
class LoadFlow:
    """One flow of a load.

    Args:
        pair: its directed edge.
        interval_s: between two bursts.
        fair_bit_s: the rate of its full frames where all flows share fairly.
    """

    pair: Pair
    interval_s: float
    fair_bit_s: float


@dataclass(frozen=True)
class CapacityLoad:
    """What is sent through one capacity.

    Args:
        cap: the capacity as planned.
        flows: one for each of its edges; none where the capacity is too slow for the time.
        segments: full frames in a burst.
        seconds: of sending.
        wait_s: how long to wait for one more packet.
        frame: bytes of a full frame.
    """

    cap: Cap
    flows: tuple[LoadFlow, ...]
    segments: int
    seconds: float
    wait_s: float
    frame: int

    @property
    def fair_bit_s(self) -> float:
        """The rate of all flows' frames together: less than the capacity where other limits on their way are lower."""
        return sum(flow.fair_bit_s for flow in self.flows)

    @property
    def is_fast(self) -> bool:
        """Whether the machine may be too slow for another load at the same time."""
        return sum(8 * self.segments * self.frame / flow.interval_s for flow in self.flows) > _FAST_BIT_S

    def one_in(self, rank: int) -> int:
        """The receiver at that rank needs to read one packet in this many; a power of two."""
        comes = sum(flow.fair_bit_s for flow in self.flows if flow.pair[1] == rank)
        return 1 << max(1, int(comes / (8 * self.frame * READS_PER_S))).bit_length() - 1


def load_for(cap: Cap, plan: NetworkPlan, caps: Sequence[Cap], *, seconds: float, frame: int) -> CapacityLoad:
    """What to send through one capacity.

    Args:
        cap: the capacity.
        plan: the network.
        caps: all its capacities: flows cross others as well.
        seconds: for one edge; a load takes up to 4 times that and the delays.
        frame: bytes of a full frame.
    """
    shapes = {pair: plan.edge(*pair).effective for pair in cap.edges}
    alone = {pair: frame_rate(shape, frame) or inf for pair, shape in shapes.items()}
    others = [(set(cap.edges) & set(other.edges), other.frame_bit_s(frame)) for other in caps if other != cap]
    without = fair_shares(alone, others)
    fair = fair_shares(alone, [*others, (set(cap.edges), cap.frame_bit_s(frame))])
    slowest = 8 * frame / min(fair.values())
    spread = max(map(spread_of, shapes.values()))
    length = min(max(_LOAD_S, 2 * _FRAMES * slowest, 5 * spread), _MOST * seconds)
    segments = min(
        _segments(shape, one, frame) for pair, shape in shapes.items() for one in (cap, *crossed(caps, pair))
    )
    overdrive = overdrive_of(cap.capacity.queue)
    flows = [
        LoadFlow(pair, 8 * frame * segments / min(overdrive * rate, without[pair]), rate) for pair, rate in fair.items()
    ]
    enough = length >= max(2 * _FEWEST_FRAMES * slowest, 5 * spread)
    wait = max(map(longest_delay, shapes.values())) + 2 * segments * slowest + _MARGIN_S
    return CapacityLoad(cap, tuple(flows) if enough else (), segments, length, wait, frame)


def _segments(shape: LinkShape, cap: Cap, frame: int) -> int:
    """Frames in a burst that fits the queue of a capacity and that of the edge."""
    met = burst_segments(met_alone(shape, cap), frame)
    return min(met, burst_segments(shape, frame)) if shape.rate else met


def caps_within(plan: NetworkPlan, pairs: Iterable[Pair]) -> tuple[Cap, ...]:
    """The capacities all of whose edges are among these, in either direction."""
    chosen = {way for a, b in pairs for way in ((a, b), (b, a))}
    return tuple(cap for cap in caps_of(plan) if cap.edges and chosen.issuperset(cap.edges))


def load_rounds(plan: NetworkPlan, caps: Sequence[Cap], max_parallel: int) -> list[list[Cap]]:
    """Group capacities so that the flows of two in a group share no node and no capacity."""
    every = caps_of(plan)

    def taken(cap: Cap) -> set[int | str]:
        places: set[CapPlace] = {other.place for pair in cap.edges for other in crossed(every, pair)}
        return {*(str(place.words) for place in places), *(rank for pair in cap.edges for rank in pair)}

    return first_fit(caps, taken, max_parallel)
