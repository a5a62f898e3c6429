"""Capacity that edges share: what flows get of it, how fairly, what it costs, what it does to collectives and queues.

    python -m benchmarks sharing                          this kernel's engine
    python -m benchmarks.sharing [--only PART ...] [--engine NAME]
    scripts/with-netem python -m benchmarks sharing       the kernel's netem, with a tenth of the rates and sizes

Collectives are compared with their bound, and with published times of gloo on machines whose interface was shaped by tc
(BinhangYuan/tc_cluster_setting: 128 MiB at 1 Gbit/s and 10 ms; here a tenth of both, which has the same bound).
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from statistics import median
from typing import Any, Final

from benchmarks.fidelity import OUTPUT, network, programs_of, reshape
from benchmarks.links import engine_seconds, note
from benchmarks.report import Row, table
from benchmarks.tcp import flows
from harness.cli.bench import measure
from harness.cli.bench_table import bench_document
from harness.model.address import FRAME, SEGMENT
from harness.model.capacity import DEFAULT_BUFFER, NO_CAPS, Capacity, NodeShape
from harness.model.format import format_rate, format_size, format_time
from harness.model.link import LinkShape, Pair
from harness.model.queueing import Queue
from harness.model.units import Rate, Size, Time
from harness.networks.network import Network
from harness.shaping.base import Engine
from harness.shaping.detect import choose_engine, make_engine
from harness.shaping.facts import USERSPACE
from harness.verify.sharing import jain

GUEST = os.environ.get("WITH_NETEM") == "uml"
SCALE = 10 if GUEST else 1
"""By what rates and sizes are divided in the guest, which is about so many times slower."""
DOWNLINK, UPLINK = Rate(100_000_000 // SCALE), Rate(20_000_000 // SCALE)
WARM_S, SECONDS, TURNS = 4.0, 8.0, 3
HELD_BACK: Final = DEFAULT_BUFFER.seconds / SECONDS
"""What may wait behind a lost packet when counting begins, over what is counted: it arrives with the retransmission."""
SIZE = Size(13_421_772 // SCALE // 4 * 4)
PUBLISHED_S = {4: 2.993, 8: 3.582}
"""all_reduce of 128 MiB at 1 Gbit/s and 10 ms, by nodes."""
DELAY = Time.parse("10ms")
FAIR, COST, STANDING_S = 0.98, 1.10, 0.020


def got(net: Network, ways: Sequence[Pair]) -> tuple[list[float], float]:
    """bit/s on the wire of TCP flows side by side, and the CPU that was used for each 100 Mbit of them, in seconds."""
    addresses = [(src, dst, str(net.plan.addressing.ipv4(dst))) for src, dst in ways]
    with flows(programs_of(net), addresses, WARM_S, SECONDS) as found:
        time.sleep(WARM_S)
        used, start = cpu_seconds(net), time.monotonic()
        time.sleep(SECONDS - 0.5)
        cores = (cpu_seconds(net) - used) / (time.monotonic() - start)
    wire = [each * FRAME / SEGMENT for each in found]
    return wire, cores / (sum(wire) / 1e8)


def cpu_seconds(net: Network) -> float:
    """CPU time of the engine so far: of its processes in user space; else of the machine, where the kernel's is."""
    if net.engine == USERSPACE:
        return engine_seconds(net)
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq = map(int, file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def limit(net: Network, shape: NodeShape, ranks: Sequence[int], **edges: Any) -> None:
    """Edges of one shape, and nodes of another."""
    every = LinkShape(**edges)
    net.reshape(
        lambda plan: plan.changed([replace(edge, shape=every) for edge in plan.edges.values()]).with_nodes(
            {rank: shape if rank in ranks else NO_CAPS for rank in range(plan.size)}
        )
    )


def shared(net: Network, what: str, rate: Rate, ways: Sequence[Pair]) -> Iterator[Row]:
    """What flows get of one capacity, and how fairly."""
    wire, _ = got(net, ways)
    share, index = sum(wire) / rate.bit_s, jain(wire)
    told = format_rate(rate.bit_s)
    good = 0.95 <= share <= 1 + HELD_BACK
    yield Row(f"{what} of {told}, all flows", f"{share:.1%}", f"95-{100 * (1 + HELD_BACK):.0f} %", good)
    yield Row("  Jain's index", f"{index:.4f}", f"> {FAIR}", index > FAIR)


def downlink(engine: Engine) -> Iterator[Row]:
    """Four senders to one receiver."""
    with network(engine, "fully_connected", 5) as net:
        limit(net, NodeShape(downlink=Capacity(DOWNLINK)), [0], delay=DELAY)
        yield from shared(net, "4 senders, downlink", DOWNLINK, [(rank, 0) for rank in range(1, 5)])


def uplink(engine: Engine) -> Iterator[Row]:
    """One sender to three receivers."""
    with network(engine, "fully_connected", 4) as net:
        limit(net, NodeShape(uplink=Capacity(UPLINK)), [0], delay=DELAY)
        yield from shared(net, "3 receivers, uplink", UPLINK, [(0, rank) for rank in range(1, 4)])


def cpu(engine: Engine) -> Iterator[Row]:
    """What a downlink costs beside a rate of a fourth of it on each of four edges, in turns."""
    ways, capped, rated = [(rank, 0) for rank in range(1, 5)], [], []
    with network(engine, "fully_connected", 5) as net:
        for _ in range(TURNS):
            limit(net, NO_CAPS, [], delay=DELAY, rate=Rate(DOWNLINK.bit_s // 4))
            rated.append(got(net, ways)[1])
            limit(net, NodeShape(downlink=Capacity(DOWNLINK)), [0], delay=DELAY)
            capped.append(got(net, ways)[1])
    ratios = sorted(one / other for one, other in zip(capped, rated, strict=True))
    whose = "the engine's CPU" if engine.name == USERSPACE else "the machine's CPU"
    yield Row(f"{whose} for 100 Mbit/s, a rate per edge", f"{median(rated):.3f} cores")
    yield Row("  a downlink for all", f"{median(capped):.3f} cores")
    told = f"{median(ratios):.2f} ({ratios[0]:.2f} - {ratios[-1]:.2f})"
    yield Row("  ratio", told, f"< {COST:.2f}", median(ratios) < COST, samples=f"{TURNS} turns")


def collective(engine: Engine, name: str, nodes: int) -> tuple[float, float]:
    """How long a collective takes behind uplinks, and its bound, both in seconds."""
    with network(engine, "fully_connected", nodes) as net:
        limit(net, NodeShape(uplink=Capacity(DOWNLINK)), range(nodes), delay=DELAY)
        words = ["--sizes", f"{SIZE.bytes}B", "--collectives", name, "--warmup", "1", "--repeats", "3"]
        row = bench_document(net.engine, net.plan, measure(net, [*words, "--seconds", "60"]))["rows"][0]
    return float(row["seconds_median"]), float(row["bound_seconds"])


def broadcast(engine: Engine) -> Iterator[Row]:
    """From one root to all others; gloo's root sends several copies."""
    nodes = 4 if GUEST else 8
    took, bound = collective(engine, "broadcast", nodes)
    yield Row(
        f"broadcast of {format_size(SIZE)} to {nodes - 1}, uplinks of {format_rate(DOWNLINK.bit_s)}", format_time(took)
    )
    yield Row("  its bound", format_time(bound))
    yield Row("  time / bound", f"{took / bound:.2f}", ">= 1", took >= bound)


def all_reduce(engine: Engine) -> Iterator[Row]:
    """Beside what was published."""
    for nodes in (4,) if GUEST else (4, 8):
        took, bound = collective(engine, "all_reduce", nodes)
        told = f"all_reduce of {format_size(SIZE)}, {nodes} nodes, uplinks of {format_rate(DOWNLINK.bit_s)}"
        yield Row(told, format_time(took), ">= bound", took >= bound)
        yield Row("  its bound; time / bound", f"{format_time(bound)}; {took / bound:.2f}")
        published = PUBLISHED_S[nodes]
        yield Row("  published; published / bound", f"{format_time(published)}; {published / bound:.2f}")


def queues(engine: Engine) -> Iterator[Row]:
    """What waits in front of 10 Mbit/s when one TCP flow fills it: the round trip of pings beside it, less 20 ms."""
    rate, buffer, codel = Rate.parse("10mbit"), Time.parse("1s"), Queue.of("codel")
    with network(engine, "line", 2) as net:
        for what, queue, ecn in (("droptail", None, False), ("codel", codel, False), ("codel and ECN", codel, True)):
            reshape(net, delay=DELAY, rate=rate, buffer=buffer, queue=queue)
            for rank in (0, 1):
                switch = ["sh", "-c", f"echo {int(ecn)} > /proc/sys/net/ipv4/tcp_ecn"]
                assert net.backend.spawn(rank, switch, stdio=OUTPUT).wait() == 0
            delay, share, dropped = standing(net, rate)
            target, reached = (f"< {format_time(STANDING_S)}", delay < STANDING_S) if queue else ("", None)
            yield Row(f"standing delay at 10 Mbit/s, 20 ms, {what}", format_time(delay), target, reached)
            yield Row("  goodput of the rate; dropped", f"{share:.1%}; {dropped}")


def standing(net: Network, rate: Rate) -> tuple[float, float, int]:
    """Median queueing delay in s, share of the rate that TCP got, and packets that were dropped meanwhile."""
    host, warm, seconds = str(net.plan.addressing.ipv4(1)), 6.0, 10.0
    with flows(programs_of(net), [(0, 1, host)], warm, seconds) as found:
        time.sleep(warm)
        before = net.applied()[0, 1].stats.dropped
        ping = ["ping", "-U", "-n", "-c", str(int((seconds - 2) / 0.1)), "-i", "0.1", host]
        output = net.backend.spawn(0, ping, stdio=OUTPUT).communicate(timeout=60)[0].decode()
        dropped = net.applied()[0, 1].stats.dropped - before
    trips = [float(text) / 1e3 for text in re.findall(r"time=([\d.]+)", output)]
    return median(trips) - 2 * DELAY.seconds, found[0] * FRAME / SEGMENT / rate.bit_s, dropped


PARTS: dict[str, Callable[[Engine], Iterator[Row]]] = {
    "downlink": downlink, "uplink": uplink, "cpu": cpu, "broadcast": broadcast, "all_reduce": all_reduce,
    "queues": queues,
}  # fmt: skip


def main(only: Sequence[str] = tuple(PARTS), wanted: str = "auto") -> None:
    """Measure and print."""
    engine = make_engine(choose_engine(wanted)[0])
    rows = []
    for row in chain.from_iterable(PARTS[name](engine) for name in only):
        note(f"  {row.what.strip()}: {row.measured}")
        rows.append(row)
    table(f"Sharing ({engine.name}, {'uml' if GUEST else 'native'}, {os.cpu_count()} cores)", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=tuple(PARTS), help="these parts")
    parser.add_argument("--engine", default="auto", help="auto unless given")
    told = parser.parse_args()
    main(told.only, told.engine)
