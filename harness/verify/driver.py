"""Drives the probes in the nodes from outside, in rounds of disjoint edges.

All edges of a round do the same step at the same time, because on a machine with few cores a bulk train would disturb
another edge's delays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from types import TracebackType
from typing import Self

from harness.model.address import full_frame
from harness.model.link import Pair
from harness.model.plan import NetworkPlan
from harness.verify.caps import Cap, caps_of, shape_alone
from harness.verify.edge_probe import EdgeProbe
from harness.verify.loads import CapacityLoad, load_for, load_rounds
from harness.verify.plan import SECONDS, probe_for
from harness.verify.probe_client import ProbeClient, ProbeProcess
from harness.verify.rounds import MAX_PARALLEL, rounds
from harness.verify.samples import EdgeMeasurement, LoadMeasurement
from harness.verify.steps import EdgeSteps, Step

Spawn = Callable[[int], ProbeProcess]
ProbeProgress = Callable[[int, int, str], None]


class ProbeDriver:
    """Measures edges of a running network; a context manager that ends all probes.

    Args:
        plan: of the network; its effective shapes decide what to send.
        spawn: starts a probe (see PROBE_ARGV) in a node, with pipes to its input and output.
        seconds: for one edge.
        max_parallel: edges measured at once.
        ipv6: whether to probe by IPv6.
        kernel_stamps: whether the rate may be computed from the kernel's receive timestamps: exact where the reader is
            slower than the link, but wrong where a user-space shaper delays packets after reception.
    """

    def __init__(
        self,
        plan: NetworkPlan,
        spawn: Spawn,
        *,
        seconds: float = SECONDS,
        max_parallel: int = MAX_PARALLEL,
        ipv6: bool = False,
        kernel_stamps: bool = True,
    ) -> None:
        self._plan, self._spawn = plan, spawn
        self._seconds, self._max_parallel, self._ipv6 = seconds, max_parallel, ipv6
        self._steps = EdgeSteps(plan, kernel_stamps=kernel_stamps)
        self._probes: dict[int, ProbeClient] = {}
        self._caps, self._frame = caps_of(plan), full_frame(plan.mtu)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every probe, all at the same time."""
        probes = list(self._probes.values())
        self._probes.clear()
        if probes:
            with ThreadPoolExecutor(len(probes)) as pool:
                list(pool.map(ProbeClient.close, probes))

    def measure(
        self, pairs: Iterable[Pair] | None = None, progress: ProbeProgress = lambda done, total, what: None
    ) -> Iterator[EdgeMeasurement]:
        """Measure edges, all by default; yields each measurement when its round is over.

        Args:
            pairs: the edges, in either direction; measurements are forward from the lower rank.
            progress: called with (steps done, steps in all, description), from one thread at a time.

        Raises:
            NodeError: a probe died, hung or could not send.
        """
        groups = rounds(self._plan, pairs, self._max_parallel)
        steps = (self._steps.echo, self._steps.trains, self._steps.bulks)
        total, done, reporting = len(steps) * sum(map(len, groups)), count(1), threading.Lock()

        def report(what: str) -> None:
            with reporting:
                progress(next(done), total, what)

        for group in groups:
            self._open({rank for pair in group for rank in pair})
            planned = [self._probe_for(pair, len(group)) for pair in group]
            measured = [EdgeMeasurement(probe.pair, ipv6=self._ipv6) for probe in planned]
            with ThreadPoolExecutor(len(group)) as pool:
                try:
                    for step in steps:
                        measured = list(pool.map(partial(self._perform, step, report), planned, measured))
                except BaseException:
                    self.close()  # else the pool would wait for the other edges
                    raise
            yield from measured

    def measure_caps(
        self, caps: Sequence[Cap], progress: ProbeProgress = lambda done, total, what: None
    ) -> Iterator[tuple[CapacityLoad, LoadMeasurement]]:
        """Measure shared capacities, each with all its senders at once; yields what was sent and what arrived.

        Raises:
            NodeError: a probe died, hung or could not send.
        """
        done, reporting = count(1), threading.Lock()

        def perform(cap: Cap) -> tuple[CapacityLoad, LoadMeasurement]:
            load = load_for(cap, self._plan, self._caps, seconds=self._seconds, frame=self._frame)
            measured = self._steps.load(self._probes, load) if load.flows else LoadMeasurement(())
            with reporting:
                progress(next(done), len(caps), f"{cap.place} {cap.place.kind}")
            return load, measured

        for group in load_rounds(self._plan, caps, self._max_parallel):
            self._open({rank for cap in group for pair in cap.edges for rank in pair})
            with ThreadPoolExecutor(len(group)) as pool:
                try:
                    yield from list(pool.map(perform, group))
                except BaseException:
                    self.close()
                    raise

    def _perform(
        self, step: Step, report: Callable[[str], None], planned: EdgeProbe, measured: EdgeMeasurement
    ) -> EdgeMeasurement:
        first, second = planned.pair
        measured = step(self._probes[first], self._probes[second], planned, measured)
        report(f"{first}-{second} {step.__name__}")
        return measured

    def _open(self, ranks: set[int]) -> None:
        """Start the missing probes."""
        missing = sorted(ranks - self._probes.keys())
        for rank in missing:
            self._probes[rank] = ProbeClient(rank, self._spawn(rank))
        for rank in missing:
            self._probes[rank].open(self._address(rank), self._frame)

    def _address(self, rank: int) -> str:
        addressing = self._plan.addressing
        return str(addressing.ipv6(rank) if self._ipv6 else addressing.ipv4(rank))

    def _probe_for(self, pair: Pair, sharing: int) -> EdgeProbe:
        forward, backward = (shape_alone(self._plan, way, self._frame) for way in (pair, pair[::-1]))
        return probe_for(
            pair, forward, backward, seconds=self._seconds, sharing=sharing, ipv6=self._ipv6, frame=self._frame
        )
