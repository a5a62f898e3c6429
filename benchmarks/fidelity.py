"""What links do against what was asked for: RTT, goodput, loss and jitter over one edge of a network of two nodes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Row, table
from benchmarks.tcp import Spawn, goodput
from harness.backends.base import Stdio
from harness.backends.netns.backend import NetnsBackend
from harness.model.distribution import jitter_form
from harness.model.link import Distribution, LinkShape
from harness.model.make_plan import make_plan
from harness.model.profile_file import load_profile
from harness.model.topology_names import build_topology
from harness.model.units import Rate, Ratio, Time
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from harness.shaping.base import Engine
from harness.shaping.netem import NetemEngine
from harness.verify.driver import ProbeDriver
from harness.verify.probe_client import PROBE_ARGV, ProbeProcess
from harness.verify.samples import EdgeMeasurement
from harness.verify.stats import spread
from harness.verify.verdict import judge

RTT_MS = (1, 10, 50, 200, 500)
RATES = ("1mbit", "10mbit", "100mbit", "500mbit")
LOSSES = ("0.1%", "1%", "5%")
JITTERS: tuple[Distribution, ...] = ("uniform", "normal", "pareto")
PIPES = Stdio(subprocess.PIPE, subprocess.PIPE, None)
OUTPUT = Stdio(subprocess.DEVNULL, subprocess.PIPE, None)


@contextmanager
def network(engine: Engine, topology: str, nodes: int, seed: int = 0) -> Iterator[Network]:
    """A network that is up, without shapes."""
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(build_topology(topology, nodes), load_profile("none"), seed)
        backend = NetnsBackend(engine)
        net = Network.up("bench", plan, backend, LocalRegistry(Path(folder)), transient=True)
        try:
            yield net
        finally:
            net.down()


@contextmanager
def pair(engine: Engine | None = None, seed: int = 0) -> Iterator[Network]:
    """Two nodes with an edge between them, made by the kernel unless an engine is given."""
    with network(engine or NetemEngine(), "line", 2, seed) as net:
        reshape(net, loss=Ratio.parse("1%"))
        yield net


def reshape(net: Network, **values: Any) -> None:
    """One shape on every edge, both ways."""
    shape = LinkShape(**values)
    net.reshape(lambda p: p.changed([replace(e, shape=shape) for e in p.edges.values()]))


def probes_of(net: Network) -> Callable[[int], ProbeProcess]:
    """Starts a probe in a node."""
    return lambda rank: net.backend.spawn(rank, [sys.executable, *PROBE_ARGV], stdio=PIPES)


def programs_of(net: Network) -> Spawn:
    """Starts a program in a node."""
    return lambda rank, argv: net.backend.spawn(rank, argv, stdio=OUTPUT)


def measured(net: Network, seconds: float) -> EdgeMeasurement:
    """The edge, as ``harness verify`` measures it."""

    with ProbeDriver(net.plan, probes_of(net), seconds=seconds) as prober:
        return next(iter(prober.measure()))


def rtts(net: Network) -> list[Row]:
    """Median round trips, as ping sees them: its kernel stamps leave out how slowly a program here wakes up."""
    rows = []
    for ms in RTT_MS:
        reshape(net, delay=Time(ms * 500_000), rate=Rate(10**9))
        argv = ["ping", "-n", "-c", "41", "-i", "0.05", str(net.plan.addressing.ipv4(1))]
        output = net.backend.spawn(0, argv, stdio=OUTPUT).communicate(timeout=60)[0].decode()
        trips = [float(text) for text in re.findall(r"time=([\d.]+)", output)][1:]
        room = max(0.5, 0.02 * ms)
        middle = median(trips)
        rows.append(
            Row(
                f"RTT of {ms} ms, median of {len(trips)}",
                f"{middle:.2f} ms",
                f"+-{room:g} ms",
                abs(middle - ms) <= room,
            )
        )
    return rows


def rates(net: Network) -> list[Row]:
    """TCP goodput: at most 1448 / 1514 of the rate, for that is what headers leave of it."""
    rows = []
    for text in RATES:
        rate = Rate.parse(text)
        reshape(net, delay=Time.parse("10ms"), rate=rate)
        share = goodput(programs_of(net), str(net.plan.addressing.ipv4(1)), 8.0, 5.0) / rate.bit_s
        rows.append(Row(f"TCP goodput at {text}, 20 ms RTT", f"{share:.1%}", "92-100 %", 0.92 <= share <= 1.0))
    return rows


def losses(net: Network) -> list[Row]:
    """Loss, judged by its binomial interval."""
    rows = []
    for text in LOSSES:
        reshape(net, delay=Time.parse("5ms"), rate=Rate(10**8), loss=Ratio.parse(text))
        there, back = net.plan.edge(0, 1), net.plan.edge(1, 0)
        verdicts = judge(there, back, there.shape, back.shape, measured(net, 20))
        row = next(one for one in verdicts if one.quantity == "loss")
        assert row.measured is not None
        assert row.low is not None
        assert row.high is not None
        interval = f"{row.low:.3%} .. {row.high:.3%}"
        rows.append(Row(f"loss of {text}, {row.samples} packets", f"{row.measured:.3%}", interval, row.ok))
    return rows


def jitters(net: Network) -> list[Row]:
    """Standard deviation of the one-way delay."""
    rows = []
    for name in JITTERS:
        reshape(net, delay=Time.parse("40ms"), jitter=Time.parse("10ms"), distribution=name, rate=Rate(10**8))
        rows.append(jitter_row(net, [one.forward for one in measured(net, 15).echoes]))
    return rows


def jitter_row(net: Network, delays: Sequence[float]) -> Row:
    """The standard deviation of one-way delays in s, without the machine's stalls, against the one that is implied."""
    shape = net.plan.edge(0, 1).shape
    form = jitter_form(shape)
    seen, implied = spread(delays, form.fence), form.std * shape.jitter.seconds
    stalls = f", {seen.stalls} stalls" if seen.stalls else ""
    return Row(
        f"std of {shape.distribution} jitter",
        f"{seen.std * 1e3:.2f} ms",
        f"{implied * 1e3:.2f} ms +-15 %",
        abs(seen.std / implied - 1) <= 0.15,
        f"{shape.jitter} around {shape.delay}",
        f"{seen.count} packets{stalls}",
    )


def main() -> None:
    """Measure and print."""
    with pair() as net:
        rows = [row for part in (rtts, rates, losses, jitters) for row in part(net)]
    table(f"Fidelity ({os.environ.get('WITH_NETEM', 'native')} netem)", rows)
