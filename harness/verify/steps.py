"""The three steps that measure one edge: echo, trains, bulk trains; and the load of a shared capacity.

They run outside the nodes and send requests to the probes. Fast bulk trains of different edges take turns, because
together they would exceed what the machine can carry.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Final, Protocol

from harness.model.plan import NetworkPlan
from harness.verify.edge_probe import Bulk, EdgeProbe, Train
from harness.verify.loads import CapacityLoad
from harness.verify.machine_load import busiest, cpu_times
from harness.verify.node.probe import WARM_UP_NS
from harness.verify.probe_client import ProbeClient
from harness.verify.samples import BulkSample, Direction, EchoSample, EdgeMeasurement, LoadMeasurement, TrainCount
from harness.verify.stats import bulk_rate, carried_rate

_FAST_BIT_S: Final = 100_000_000
"""Bulk trains sent faster than this take turns."""
_OVERTIME: Final = 2.0
"""The sender stops a train after this many times its planned length."""
_SLOW: Final = 0.92
"""Below this share of a fast link's rate, its bulk train is sent once more, with less overdrive."""


class Step(Protocol):
    """A step of one edge: uses the probes of its two ranks, and returns the measurement with its results."""

    __name__: str

    def __call__(
        self, first: ProbeClient, second: ProbeClient, planned: EdgeProbe, measured: EdgeMeasurement, /
    ) -> EdgeMeasurement: ...


class EdgeSteps:
    """The steps of the edges of one network; several edges may be measured at the same time.

    Args:
        plan: the network.
        kernel_stamps: see ProbeDriver.
    """

    def __init__(self, plan: NetworkPlan, *, kernel_stamps: bool) -> None:
        self._plan, self._kernel_stamps = plan, kernel_stamps
        self._jobs = count(1)
        self._fast_bulk = threading.Lock()

    def echo(
        self, first: ProbeClient, second: ProbeClient, planned: EdgeProbe, measured: EdgeMeasurement
    ) -> EdgeMeasurement:
        """Exchange small packets, to measure the delays of both directions."""
        if planned.echo is None:
            losing = self._loses_all(first, second) or self._loses_all(second, first)
            return replace(measured, echo_left_out=not losing)
        length = planned.echo.count * planned.echo.interval_s
        answer = first.ask(
            _OVERTIME * length + 4 * planned.echo.wait_s + WARM_UP_NS / 1e9,
            op="echo",
            peer=second.address,
            port=second.port,
            job=next(self._jobs),
            count=planned.echo.count,
            interval_ns=_ns(planned.echo.interval_s),
            wait_ns=_ns(planned.echo.wait_s),
            end_ns=_ns(_OVERTIME * length),
        )
        echoes = (
            EchoSample((turned - sent) / 1e9, (arrived - returned) / 1e9)
            for _, sent, turned, returned, arrived in answer["samples"]
        )
        return replace(
            measured,
            echoes_sent=answer["sent"],
            echoes=tuple(echoes),
            timers_late=tuple(late / 1e9 for late in answer["late"]),
            local_delays=tuple(delay / 1e9 for delay in answer["local"]),
        )

    def trains(
        self, first: ProbeClient, second: ProbeClient, planned: EdgeProbe, measured: EdgeMeasurement
    ) -> EdgeMeasurement:
        """Send trains of small packets in both directions at once, to measure losses."""
        both = (
            (first, second, planned.forward_train, next(self._jobs)),
            (second, first, planned.backward_train, next(self._jobs)),
        )
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
        return replace(measured, forward=forward, backward=backward)

    @staticmethod
    def _collect(target: ProbeClient, train: Train, job: int, sent: int) -> TrainCount:
        answer = target.ask(train.wait_s, op="collect", job=job, expect=sent, wait_ns=_ns(train.wait_s))
        return TrainCount(sent, **{name: answer[name] for name in ("received", "duplicates", "overtakers")})

    def bulks(
        self, first: ProbeClient, second: ProbeClient, planned: EdgeProbe, measured: EdgeMeasurement
    ) -> EdgeMeasurement:
        """Send trains of full frames, one direction after the other, to measure rates."""
        return replace(
            measured,
            forward=self._bulk(first, second, planned.forward_bulk, measured.forward),
            backward=self._bulk(second, first, planned.backward_bulk, measured.backward),
        )

    def _bulk(self, source: ProbeClient, target: ProbeClient, bulk: Bulk | None, measured: Direction) -> Direction:
        """One direction. A fast link that seems slow gets a second train; the faster of the two counts.

        Sending at twice a fast link's rate may overload the machine, which looks like a slow link.
        """
        if bulk is None:
            losing = self._loses_all(source, target)
            return measured if losing else replace(measured, left_out=(*measured.left_out, "bulk"))
        sample = self._bulk_once(source, target, bulk)
        if bulk.rate_bit_s > _FAST_BIT_S and _speed(sample) < _SLOW * bulk.link_bit_s:
            sample = max(sample, self._bulk_once(source, target, bulk.gentle()), key=_speed)
        return replace(measured, bulk=sample)

    def _bulk_once(self, source: ProbeClient, target: ProbeClient, bulk: Bulk) -> BulkSample:
        length, job = bulk.bursts * bulk.interval_s, next(self._jobs)
        fast = not bulk.interval_s or bulk.rate_bit_s > _FAST_BIT_S
        with self._fast_bulk if fast else contextlib.nullcontext():
            if not self._kernel_stamps:
                target.ask(0, op="sample", one_in=bulk.one_in)
            before = cpu_times()
            sent = source.ask(
                _OVERTIME * length + 1,
                op="bulk",
                peer=target.address,
                port=target.bulk_port,
                job=job,
                bursts=bulk.bursts,
                segments=bulk.segments,
                interval_ns=_ns(bulk.interval_s),
                end_ns=_ns(_OVERTIME * length + 1),
            )
            sample = self._arrived(target, job, sent["wire_bytes"], sent["elapsed_ns"], bulk.wait_s)
            return replace(sample, busiest_cpu=busiest(before, cpu_times()))

    def load(self, probes: Mapping[int, ProbeClient], load: CapacityLoad) -> LoadMeasurement:
        """Send through a shared capacity from all its senders at once."""
        jobs = {flow.pair: next(self._jobs) for flow in load.flows}
        senders = {src: [flow for flow in load.flows if flow.pair[0] == src] for src in {pair[0] for pair in jobs}}
        with self._fast_bulk if load.is_fast else contextlib.nullcontext():
            if not self._kernel_stamps:
                for rank in {dst for _, dst in jobs}:
                    probes[rank].ask(0, op="sample", one_in=load.one_in(rank))
            before = cpu_times()
            for src, flows in senders.items():
                targets = [
                    (target.address, target.bulk_port, jobs[flow.pair], _ns(flow.interval_s))
                    for flow in flows
                    for target in [probes[flow.pair[1]]]
                ]
                request = {"flows": targets, "segments": load.segments, "length_ns": _ns(load.seconds)}
                probes[src].start({"op": "load", **request})
            sent = {src: probes[src].finish(load.seconds, "load") for src in senders}
            busy = busiest(before, cpu_times())
            samples = [
                self._arrived(probes[flow.pair[1]], jobs[flow.pair], wire_bytes, sent[src]["elapsed_ns"], load.wait_s)
                for src, flows in senders.items()
                for flow, wire_bytes in zip(flows, sent[src]["wire_bytes"], strict=True)
            ]
        in_order = dict(zip([flow.pair for flows in senders.values() for flow in flows], samples, strict=True))
        late = tuple(each / 1e9 for answer in sent.values() for each in answer["late"])
        return LoadMeasurement(tuple(in_order[flow.pair] for flow in load.flows), late, busy)

    def _arrived(self, target: ProbeClient, job: int, sent_bytes: int, sent_ns: int, wait_s: float) -> BulkSample:
        """What arrived of a train of full frames."""
        expected = {"expect_bytes": sent_bytes, "wait_ns": _ns(wait_s)}
        received = target.ask(wait_s, op="bulked", job=job, kernel=self._kernel_stamps, **expected)
        return BulkSample(
            sent_bytes=sent_bytes,
            sent_s=sent_ns / 1e9,
            received_bytes=received["wire_bytes"],
            points=tuple((at / 1e9, size) for at, size in received["points"]),
            ends=tuple((at / 1e9, size) for at, size in received["ends"]),
        )

    def _loses_all(self, source: ProbeClient, target: ProbeClient) -> bool:
        return self._plan.edge(source.rank, target.rank).effective.mean_loss == 1


def _limit(train: Train) -> float:
    """Seconds after which the sender of a train stops."""
    return _OVERTIME * train.count * train.interval_s + 1


def _speed(sample: BulkSample) -> float:
    found = bulk_rate(sample) or carried_rate(sample)
    return found.bit_s if found else 0.0


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
