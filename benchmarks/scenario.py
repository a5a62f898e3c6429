"""Scenarios: how long after its time a change is acknowledged, and what playing a fine trace costs.

    python -m benchmarks scenario                         this kernel's engine, 16 nodes

Changes of all edges of a mesh at once, and a trace in steps of 100 ms on 8 edges of a ring, each with its own rates.
Every change is checked and read back as ``harness link set`` does.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from benchmarks.fidelity import network, reshape
from benchmarks.report import Row, table
from harness.model.format import format_share, format_time
from harness.model.units import Rate, Time
from harness.scenario.player import Played, Player
from harness.scenario.scenario_file import load_scenario
from harness.shaping.detect import choose_engine, make_engine

NODES, EDGES, STEP_S, TRACE_S = 16, 8, 0.1, 60
ACKNOWLEDGED_S, LATE_S, LATE_SHARE, CORES = 0.05, 0.02, 0.005, 0.15


def played(text: str, files: dict[str, str], topology: str) -> tuple[list[Played], float]:
    """A scenario on a network of NODES; its changes, and the cores that this process used."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_text(content)
        Path(folder, "s.yaml").write_text(text)
        scenario = load_scenario(Path(folder, "s.yaml"))
        found: list[Played] = []
        with network(make_engine(choose_engine("auto")[0]), topology, NODES) as net:
            reshape(net, rate=Rate.parse("100mbit"), delay=Time.parse("10ms"))
            used, start = time.process_time(), time.monotonic()
            Player(net, scenario, found.append).play()
            return found, (time.process_time() - used) / (time.monotonic() - start)


def all_edges() -> Row:
    """Every edge of a mesh, at once."""
    events = "".join(
        f"  - {{at: {second}s, set: {{edge: all, delay: {10 + second % 2}ms}}}}\n" for second in range(1, 21)
    )
    found, _ = played("events:\n" + events, {}, "fully_connected")
    delays = [one.acknowledged - one.at for one in found]
    return Row(
        f"all {NODES * (NODES - 1)} directed edges of {NODES} nodes at once: acknowledged after",
        f"{format_time(quantiles(delays)[1])}, at most {format_time(max(delays))}",
        f"under {format_time(ACKNOWLEDGED_S)}",
        quantiles(delays)[1] < ACKNOWLEDGED_S,
        samples=f"{len(found)} changes",
    )


def traces() -> list[Row]:
    """A trace of its own on each of EDGES edges."""
    draws = random.Random(0)
    files, events = {}, []
    for edge in range(EDGES):
        rates = (f"{index * STEP_S:.1f},{draws.uniform(5, 100):.2f}" for index in range(round(TRACE_S / STEP_S)))
        files[f"{edge}.csv"] = "time_s,rate_mbit\n" + "\n".join(rates)
        events.append(
            f"  - {{at: {0.5 + edge * STEP_S / EDGES:.4f}s, trace: {{edge: {edge}-{edge + 1}, file: {edge}.csv}}}}"
        )
    found, cores = played("events:\n" + "\n".join(events), files, "ring")
    late = sum(one.acknowledged - one.at > LATE_S for one in found) / len(found)
    times = quantiles([one.acknowledged - one.at for one in found], n=100)
    what = f"a trace in steps of {format_time(STEP_S)} on {EDGES} edges for {TRACE_S} s"
    told = f"{format_share(late)} (median {format_time(times[49])}, p99 {format_time(times[98])})"
    late_row = Row(f"{what}: late by over {format_time(LATE_S)}", told, f"under {format_share(LATE_SHARE)}")
    return [
        Row(**{**vars(late_row), "reached": late < LATE_SHARE, "samples": f"{len(found)} changes"}),
        Row(f"{what}: the player uses", f"{cores:.3f} cores", f"under {CORES}", cores < CORES),
    ]


def main() -> None:
    """Run and print."""
    table("Scenarios", [all_edges(), *traces()])
