"""Whether every shipped profile passes its own ``verify``: of the edges of 20 seeds the one with the fullest queue."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Final

from benchmarks.report import Row, table
from harness.backends.netns.backend import NetnsBackend
from harness.model.distribution import highest
from harness.model.link import LinkShape
from harness.model.node_plan import PlannedEdge, Port
from harness.model.plan_options import PlanOptions
from harness.model.profile_file import shipped_profiles
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from harness.shaping.detect import choose_engine, make_engine
from harness.shaping.facts import AUTO
from harness.shaping.shape_branch import netem_of
from harness.verify.edge_probe import Train
from harness.verify.plan import SECONDS, probe_for
from harness.verify.rounds import MAX_PARALLEL
from harness.verify.table import in_words
from harness.verify.verification import verify

SEEDS: Final = range(20)


def edges(profile: str) -> Iterator[PlannedEdge]:
    """Every directed edge of the default network with this profile, for all seeds."""
    for seed in SEEDS:
        yield from PlanOptions(4, profile=profile, seed=seed).plan().edges.values()


def longest(shape: LinkShape) -> float:
    """The longest that a packet is on the delay line, in seconds."""
    return shape.delay.seconds + highest(shape.distribution) * shape.jitter.seconds


def train_of(shape: LinkShape) -> Train:
    """What verify sends over an edge to count losses, at the pace at which a sender that was late catches up."""
    train = probe_for((0, 1), shape, shape, seconds=SECONDS, sharing=MAX_PARALLEL // 4, ipv6=False).forward_train
    assert train is not None
    return replace(train, interval_s=train.interval_s / 2)


def in_flight(shape: LinkShape) -> int:
    """Packets of that train that are on the delay line at the same time."""
    train = train_of(shape)
    return min(train.count, ceil(longest(shape) / train.interval_s))


def limit(edge: PlannedEdge) -> int:
    """Packets that the edge's queue has room for."""
    return netem_of(Port(edge, edge.dst, ()), 0).limit


def fullest(profile: str) -> PlannedEdge:
    """The edge whose queue the train fills most."""
    return max(edges(profile), key=lambda edge: in_flight(edge.shape) / limit(edge))


def _verified(profile: str, engine: str) -> Row:
    edge = fullest(profile)
    plan = PlanOptions(2, topology="line", profile="none").plan()
    plan = plan.changed([PlannedEdge(a, b, edge.shape) for a, b in ((0, 1), (1, 0))])
    with tempfile.TemporaryDirectory() as folder:
        backend = NetnsBackend(make_engine(engine))
        net = Network.up("profiles", plan, backend, LocalRegistry(Path(folder)), transient=True)
        try:
            rows = verify(net, [(0, 1)], lambda *_: None, lambda _: None, seconds=SECONDS, parallel=1)
        finally:
            net.down()
    off = [in_words(row) for row in rows if not row.ok]
    bound = sum(row.machine_bound for row in rows)
    said = "; ".join(off) or f"{len(rows)} of {len(rows)} ok" + (f", {bound} machine-bound" if bound else "")
    return Row(profile, said, "all ok", not off, samples=f"{edge.shape.describe()}")


def main() -> None:
    """Verify one edge of every profile; HARNESS_ENGINE names the engine."""
    engine = choose_engine(os.environ.get("HARNESS_ENGINE", AUTO))[0]
    rows = [_verified(profile, engine) for profile in shipped_profiles()]
    table(f"The fullest queue of {len(SEEDS)} seeds of each profile, verified: {engine}", rows)
