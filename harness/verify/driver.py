"""Drives the probes in the nodes from outside: rounds of disjoint edges, each measured step by step.

Within a round all edges do the same step at the same time, because a bulk train would disturb another edge's delays on
a machine with few cores. Fast bulk trains take turns for the same reason.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from harness.model.link import LinkShape
from harness.model.plan import NetworkPlan, Pair
from harness.verify.probe import WARM_UP_NS
from harness.verify.probe_plan import MAX_PARALLEL, SECONDS, Bulk, EdgeProbe, Train, probe_for, rounds
from harness.verify.probe_process import NodeProbe, ProbeProcess
from harness.verify.stats import (
    BulkSample,
    Direction,
    EchoSample,
    EdgeMeasurement,
    TrainCount,
    bulk_rate,
    carried_rate,
)

Spawn = Callable[[int], ProbeProcess]
Progress = Callable[[int, int, str], None]
ProbeStep = Callable[[EdgeProbe, EdgeMeasurement], EdgeMeasurement]

_HEAVY_BIT_S: Final = 100_000_000
"""Bulk trains sent faster than this take turns."""
_SLOWNESS: Final = 2.0
"""How many times its planned length a train may take before the sender stops it."""
_SLOW: Final = 0.92
"""The share of a fast link's rate under which its bulk train is sent once more, with less overdrive."""


class ProbeDriver:
    """Measures edges of a running network; a context manager, at whose end no probe is left.

    Args:
        plan: the network; its effective shapes decide what to send.
        spawn: starts ``python -m harness.verify.probe`` in a node, with pipes to its input and output.
        seconds: time for one edge.
        max_parallel: edges measured at once.
        ipv6: whether to probe by IPv6.
        kernel_stamps: whether the rate may be taken from the kernel's receive stamps: they are exact where the
            reader is slower than the link, and wrong where a shaper in user space holds packets after they came in.
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
        self._kernel_stamps = kernel_stamps
        self._probes: dict[int, NodeProbe] = {}
        self._jobs = count(1)
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every probe, side by side."""
        probes = list(self._probes.values())
        self._probes.clear()
        if probes:
            with ThreadPoolExecutor(len(probes)) as pool:
                list(pool.map(NodeProbe.close, probes))

    def measure(
        self, pairs: Iterable[Pair] | None = None, progress: Progress = lambda done, total, what: None
    ) -> Iterator[EdgeMeasurement]:
        """Measure edges, all by default; each one's measurement comes when its round is over.

        Args:
            pairs: of ranks; the lower one is taken first.
            progress: called with (steps done, steps in all, what was done), from one thread at a time.

        Raises:
            NodeError: a probe died, hung or could not send.
        """
        groups = rounds(self._plan, pairs, self._max_parallel)
        steps = (self._echo, self._trains, self._bulks)
        total, done, telling = len(steps) * sum(map(len, groups)), count(1), threading.Lock()

        def tell(what: str) -> None:
            with telling:
                progress(next(done), total, what)

        for group in groups:
            self._open({rank for pair in group for rank in pair})
            probes = [self._probe_for(pair, len(group)) for pair in group]
            states = [EdgeMeasurement(probe.pair, ipv6=self._ipv6) for probe in probes]
            with ThreadPoolExecutor(len(group)) as pool:
                try:
                    for step in steps:
                        work = partial(self._step, step, tell)
                        states = list(pool.map(work, probes, states))
                except BaseException:
                    self.close()  # else the pool waits for edges whose measurement nobody wants any more
                    raise
            yield from states

    @staticmethod
    def _step(
        step: ProbeStep, tell: Callable[[str], None], probe: EdgeProbe, state: EdgeMeasurement
    ) -> EdgeMeasurement:
        state = step(probe, state)
        tell(f"{probe.pair[0]}-{probe.pair[1]} {step.__name__.strip('_')}")
        return state

    def _open(self, ranks: set[int]) -> None:
        """Start the probes that are not there yet."""
        missing = sorted(ranks - self._probes.keys())
        for rank in missing:
            self._probes[rank] = NodeProbe(rank, self._spawn(rank))
        for rank in missing:
            self._probes[rank].open(self._address(rank))

    def _address(self, rank: int) -> str:
        addressing = self._plan.addressing
        return str(addressing.ipv6(rank) if self._ipv6 else addressing.ipv4(rank))

    def _shapes(self, pair: Pair) -> tuple[LinkShape, LinkShape]:
        a, b = pair
        return self._plan.edge(a, b).effective, self._plan.edge(b, a).effective

    def _probe_for(self, pair: Pair, sharing: int) -> EdgeProbe:
        forward, backward = self._shapes(pair)
        return probe_for(pair, forward, backward, seconds=self._seconds, sharing=sharing, ipv6=self._ipv6)

    # --- the steps of one edge ---

    def _echo(self, probe: EdgeProbe, state: EdgeMeasurement) -> EdgeMeasurement:
        if probe.echo is None:
            losing = any(shape.mean_loss == 1 for shape in self._shapes(probe.pair))
            return replace(state, echo_left_out=not losing)
        source, target = (self._probes[rank] for rank in probe.pair)
        planned = probe.echo.count * probe.echo.interval_s
        answer = source.ask(
            _SLOWNESS * planned + 4 * probe.echo.wait_s + WARM_UP_NS / 1e9,
            op="echo",
            peer=target.address,
            port=target.port,
            job=next(self._jobs),
            count=probe.echo.count,
            interval_ns=_ns(probe.echo.interval_s),
            wait_ns=_ns(probe.echo.wait_s),
            end_ns=_ns(_SLOWNESS * planned),
        )
        echoes = (
            EchoSample((turned - sent) / 1e9, (arrived - returned) / 1e9)
            for _, sent, turned, returned, arrived in answer["samples"]
        )
        return replace(
            state,
            echoes_sent=answer["sent"],
            echoes=tuple(echoes),
            timers_late=tuple(late / 1e9 for late in answer["late"]),
            local_delays=tuple(delay / 1e9 for delay in answer["local"]),
        )

    def _trains(self, probe: EdgeProbe, state: EdgeMeasurement) -> EdgeMeasurement:
        """Both ways at once."""
        a, b = (self._probes[rank] for rank in probe.pair)
        both = ((a, b, probe.forward_train, next(self._jobs)), (b, a, probe.backward_train, next(self._jobs)))
        for source, target, train, job in both:
            if train is None:
                continue
            source.start(
                {
                    "op": "train",
                    "peer": target.address,
                    "port": target.port,
                    "job": job,
                    "count": train.count,
                    "interval_ns": _ns(train.interval_s),
                    "end_ns": _ns(_limit(train)),
                }
            )
        sent = [source.finish(_limit(train), "train")["sent"] if train else 0 for source, _, train, _ in both]
        forward, backward = (
            Direction(self._collect(target, train, job, number)) if train else Direction(left_out=("train",))
            for (_, target, train, job), number in zip(both, sent, strict=True)
        )
        return replace(state, forward=forward, backward=backward)

    @staticmethod
    def _collect(target: NodeProbe, train: Train, job: int, sent: int) -> TrainCount:
        answer = target.ask(train.wait_s, op="collect", job=job, expect=sent, wait_ns=_ns(train.wait_s))
        return TrainCount(sent, **{name: answer[name] for name in ("received", "duplicates", "overtakers")})

    def _bulks(self, probe: EdgeProbe, state: EdgeMeasurement) -> EdgeMeasurement:
        """One way after the other."""
        a, b = (self._probes[rank] for rank in probe.pair)
        return replace(
            state,
            forward=self._bulk(a, b, probe.forward_bulk, state.forward),
            backward=self._bulk(b, a, probe.backward_bulk, state.backward),
        )

    def _bulk(self, source: NodeProbe, target: NodeProbe, bulk: Bulk | None, state: Direction) -> Direction:
        """One way, for a fast link that seems slow once more: of two trains, the faster shows what the link lets pass.

        Twice a fast link's rate may choke the machine, which shows as a slow link; a link that is slow remains so.
        """
        if bulk is None:
            losing = self._plan.edge(source.rank, target.rank).effective.mean_loss == 1
            return state if losing else replace(state, left_out=(*state.left_out, "bulk"))
        sample = self._bulk_once(source, target, bulk)
        if bulk.rate_bit_s > _HEAVY_BIT_S and _speed(sample) < _SLOW * bulk.link_bit_s:
            sample = max(sample, self._bulk_once(source, target, bulk.gentle()), key=_speed)
        return replace(state, bulk=sample)

    def _bulk_once(self, source: NodeProbe, target: NodeProbe, bulk: Bulk) -> BulkSample:
        planned, job = bulk.bursts * bulk.interval_s, next(self._jobs)
        heavy = not bulk.interval_s or bulk.rate_bit_s > _HEAVY_BIT_S
        with self._turn if heavy else contextlib.nullcontext():
            if not self._kernel_stamps:
                target.ask(0, op="sample", one_in=bulk.one_in)
            before = _cpu_times()
            left = source.ask(
                _SLOWNESS * planned + 1,
                op="bulk",
                peer=target.address,
                port=target.bulk_port,
                job=job,
                bursts=bulk.bursts,
                segments=bulk.segments,
                interval_ns=_ns(bulk.interval_s),
                end_ns=_ns(_SLOWNESS * planned + 1),
            )
            there = target.ask(
                bulk.wait_s,
                op="bulked",
                job=job,
                expect_bytes=left["wire_bytes"],
                wait_ns=_ns(bulk.wait_s),
                kernel=self._kernel_stamps,
            )
            busiest = _busiest(before, _cpu_times())
        return BulkSample(
            sent_bytes=left["wire_bytes"],
            sent_s=left["elapsed_ns"] / 1e9,
            received_bytes=there["wire_bytes"],
            points=tuple((at / 1e9, size) for at, size in there["points"]),
            ends=tuple((at / 1e9, size) for at, size in there["ends"]),
            busiest_cpu=busiest,
        )


def _limit(train: Train) -> float:
    """Seconds after which the sender of a train stops."""
    return _SLOWNESS * train.count * train.interval_s + 1


def _speed(sample: BulkSample) -> float:
    found = bulk_rate(sample) or carried_rate(sample)
    return found.bit_s if found else 0.0


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _cpu_times() -> list[tuple[int, int]]:
    """(ticks in all, ticks idle or waiting for a disk) of each CPU since the start, as proc(5) orders them."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    rows: list[list[Any]] = [line.split()[1:9] for line in lines if line.startswith("cpu") and line[3:4].isdigit()]
    return [(sum(map(int, row)), int(row[3]) + int(row[4])) for row in rows]


def _busiest(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> float:
    """Share of the time for which the busiest CPU was busy; 0 where it is not known."""
    shares = [
        1 - (idle - idle_0) / (total - total_0)
        for (total_0, idle_0), (total, idle) in zip(before, after, strict=False)
        if total > total_0
    ]
    return max(shares, default=0.0)
