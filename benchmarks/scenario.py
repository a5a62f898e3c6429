"""Scenarios: how long after its time a change is acknowledged, what playing fine traces costs, that nothing is lost.

    python -m benchmarks scenario                         this kernel's engine, 16 nodes
    TRACE_S=60 RESHAPES=200 python -m benchmarks scenario  shorter

Changes of all edges of a mesh at once; a trace in steps of 100 ms on 8 edges of a ring, each with its own rates, once
with all steps at the same times (ten changes a second) and once with none (eighty); changes of an edge while packets
cross it. Every change is checked and read back as
``harness link set`` does.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from benchmarks.fidelity import network, programs_of, reshape
from benchmarks.report import Row, table
from harness.model.format import format_share, format_time
from harness.model.units import Rate, Time
from harness.networks.network import Network
from harness.scenario.played import Played
from harness.scenario.player import Player
from harness.scenario.scenario_file import load_scenario
from harness.shaping.base import Engine
from harness.shaping.detect import choose_engine, make_engine
from tests.support.udp_flow import paced_flow

NODES, EDGES, STEP_S = 16, 8, 0.1
TRACE_S = float(os.environ.get("TRACE_S", "600"))
RESHAPES = int(os.environ.get("RESHAPES", "1000"))
ACKNOWLEDGED_S, LATE_S, LATE_SHARE, CORES = 0.05, 0.02, 0.005, 0.15
PACKET_GAP_S, PACKETS_PER_RESHAPE = 0.002, 10


@dataclass
class Cost:
    """Cores, i.e. seconds of CPU for a second: of this process, and of the processes that shape links."""

    player: float = 0.0
    daemons: float = 0.0


@contextmanager
def measured(net: Network) -> Iterator[Cost]:
    """What the block costs; the list is filled at its end."""
    cost, keeper = Cost(), int(net.backend.handle["keeper"]["pid"])
    start, own, theirs = time.monotonic(), time.process_time(), _cpu_below(keeper)
    yield cost
    seconds = time.monotonic() - start
    cost.player, cost.daemons = (time.process_time() - own) / seconds, (_cpu_below(keeper) - theirs) / seconds


def _cpu_below(pid: int) -> float:
    """Seconds of CPU that a process and all below it have used; in user space these shape links."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(_cpu_below(int(child)) for child in children)


def engine() -> Engine:
    """The one that this machine would take."""
    return make_engine(choose_engine("auto")[0])


def played(text: str, files: dict[str, str], topology: str) -> tuple[list[Played], Cost]:
    """A scenario on a network of NODES; its changes, and what they cost."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_text(content)
        Path(folder, "s.yaml").write_text(text)
        scenario = load_scenario(Path(folder, "s.yaml"))
        found: list[Played] = []
        with network(engine(), topology, NODES) as net:
            reshape(net, rate=Rate.parse("100mbit"), delay=Time.parse("10ms"))
            with measured(net) as cost:
                Player(net, scenario, found.append).play()
        return found, cost


def every_edge(seconds: int) -> str:
    """A scenario that changes all edges once a second."""
    events = (f"  - {{at: {at}s, set: {{edge: all, delay: {10 + at % 2}ms}}}}\n" for at in range(1, seconds + 1))
    return "events:\n" + "".join(events)


def acknowledged(what: str, found: list[Played], most: float) -> Row:
    """How long after its time each of these changes was made and read back."""
    delays = [one.acknowledged - one.at for one in found]
    told = f"{format_time(median(delays))}, at most {format_time(max(delays))}"
    reached = median(delays) < most
    return Row(
        f"{what}: acknowledged after", told, f"under {format_time(most)}", reached, samples=f"{len(found)} times"
    )


def traces(apart_s: float) -> list[Row]:
    """A trace of its own on each of EDGES edges, each begun so long after the one before it."""
    draws = random.Random(0)
    files, events = {}, []
    for edge in range(EDGES):
        rates = (f"{index * STEP_S:.1f},{draws.uniform(5, 100):.2f}" for index in range(round(TRACE_S / STEP_S)))
        files[f"{edge}.csv"] = "time_s,rate_mbit\n" + "\n".join(rates)
        events.append(f"  - {{at: {0.5 + edge * apart_s:.4f}s, trace: {{edge: {edge}-{edge + 1}, file: {edge}.csv}}}}")
    found, cost = played("events:\n" + "\n".join(events), files, "ring")
    late = sum(one.acknowledged - one.at > LATE_S for one in found) / len(found)
    times = quantiles([one.acknowledged - one.at for one in found], n=100)
    how = "each at times of its own" if apart_s else "begun together"
    what = f"traces in steps of {format_time(STEP_S)} on {EDGES} edges for {TRACE_S:g} s, {how}"
    told = f"{format_share(late)} (median {format_time(times[49])}, p99 {format_time(times[98])})"
    share, cores = f"under {format_share(LATE_SHARE)}", cost.player + cost.daemons
    count = f"{len(found)} changes"
    return [
        Row(f"{what}: late by over {format_time(LATE_S)}", told, share, late < LATE_SHARE, samples=count),
        Row("  the player uses", f"{cost.player:.3f} cores"),
        Row("  the shaper daemons use for it", f"{cost.daemons:.3f} cores"),
        Row("  together", f"{cores:.3f} cores", f"under {CORES}", cores < CORES),
    ]


def under_load() -> list[Row]:
    """An edge gets another delay and rate again and again, while packets cross it that fit into each."""
    draws, count = random.Random(1), RESHAPES * PACKETS_PER_RESHAPE
    with network(engine(), "line", 2) as net:
        reshape(net, rate=Rate.parse("20mbit"), delay=Time.parse("10ms"))
        gap = PACKET_GAP_S * PACKETS_PER_RESHAPE
        with paced_flow(programs_of(net), str(net.plan.addressing.ipv4(1)), count, PACKET_GAP_S) as flow:
            start = time.monotonic()
            for number in range(RESHAPES):
                reshape(net, rate=Rate(draws.randint(5, 100) * 10**6), delay=Time(draws.randint(1, 20) * 10**6))
                time.sleep(max(0.0, start + (number + 1) * gap - time.monotonic()))
    lost = count - flow[0]
    return [Row(f"lost of {count:,} UDP packets across {RESHAPES:,} changes of their link", str(lost), "0", lost == 0)]


def main() -> None:
    """Run and print."""
    found, _ = played(every_edge(20), {}, "fully_connected")
    mesh = acknowledged(f"all {NODES * (NODES - 1)} directed edges of {NODES} nodes at once", found, ACKNOWLEDGED_S)
    table(f"Scenarios ({engine().name})", [mesh, *under_load(), *traces(0), *traces(STEP_S / EDGES)])
