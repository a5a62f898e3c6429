"""Do both engines make the same links? The same shapes by the kernel (netem) and in user space, side by side.

    python -m benchmarks engines                                  all that this machine can run, as one table
    python -m benchmarks.engines [--only PART]                    some of it
    python -m benchmarks.engines --engine NAME [--json]           one engine, on the running kernel

Where the running kernel has no netem, netem runs under scripts/with-netem, a User-Mode Linux guest with one CPU that is
several times slower; the userspace engine then runs both there, on the same kernel as netem, and natively.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from random import Random
from statistics import fmean, quantiles, stdev
from typing import Any

from benchmarks.fidelity import JITTERS, jitter_row, network, pair, probes_of, programs_of, reshape
from benchmarks.report import Row, side_by_side, table
from benchmarks.tcp import flows
from benchmarks.udp import flooded, sunk
from harness.binomial import CONFIDENCE, binomial_interval, loss_inflation
from harness.cli.networks import make_engine
from harness.distribution import SCALE
from harness.distribution import table as jitter_table
from harness.engine.capability import ENGINES, NETEM, USERSPACE, features, works
from harness.engine.userspace.limits import MAX_JITTERED
from harness.link import Distribution, GilbertElliott
from harness.measurement import EdgeMeasurement, TrainCount
from harness.node.prober import Prober
from harness.plan import Pair
from harness.probe_packet import small_frame
from harness.probe_plan import Echo, EdgeProbe, Train
from harness.session import Network
from harness.units import Rate, Ratio, Time

PROMISED_RTT_MS, SHORT_RTT_MS = (10, 50, 200), (1, 2, 4)
ECHOES, TRAIN = 300, 20_000
PROMISED_RATES, OTHER_RATES = ("1mbit", "10mbit", "100mbit", "500mbit"), ("1gbit", None)
PACKET_RATES = (25_000, 50_000, 100_000, 200_000, 300_000)
SHARES: tuple[dict[str, Any], ...] = (
    {"loss": Ratio.parse("0.1%")},
    {"loss": Ratio.parse("1%")},
    {"loss": Ratio.parse("5%")},
    {"gilbert_elliott": GilbertElliott(Ratio.parse("1%"), Ratio.parse("20%"))},
    {"duplicate": Ratio.parse("1%")},
    {"reorder": Ratio.parse("2%")},
    {"corrupt": Ratio.parse("1%")},
)


class Ends(Prober):
    """The two ends of an edge, which send what they are told instead of what a plan suggests."""

    def exchange(self, echo: Echo | None = None, train: Train | None = None) -> EdgeMeasurement:
        """Send these, trains both ways at once."""
        self._told = EdgeProbe((0, 1), echo, train, train, None, None)
        return next(iter(self.measure()))

    def train(self, count: int, gap: float) -> TrainCount:
        """What came of a train each way, both together."""
        found = self.exchange(train=Train(count, gap, 0.5))
        ways = [way.train for way in (found.forward, found.backward) if way.train]
        return TrainCount(*(sum(getattr(way, name) for way in ways) for name in TrainCount.__dataclass_fields__))

    def _probe_for(self, pair: Pair, sharing: int) -> EdgeProbe:
        return self._told


def trips(net: Network, ends: Ends) -> Iterator[Row]:
    """Round trips by stamps in user space: the kernel's are too early where packets are held at their receiver."""
    for ms in (*SHORT_RTT_MS, *PROMISED_RTT_MS):
        reshape(net, delay=Time(ms * 500_000))
        echoes = ends.exchange(echo=Echo(ECHOES, 0.006, 1.0)).echoes
        cuts = quantiles([one.round_trip * 1e3 for one in echoes], n=100, method="inclusive")
        promised = ms in PROMISED_RTT_MS
        yield Row(
            "RTT p50 p90 p99",
            f"{cuts[49]:.2f} {cuts[89]:.2f} {cuts[98]:.2f} ms",
            "p50 -0.5..+1.5, p99 < +5 ms" if promised else "",
            -0.5 <= cuts[49] - ms <= 1.5 and cuts[98] - ms <= 5 if promised else None,
            f"{ms} ms",
            f"{len(echoes)} echoes",
        )


def jitters(net: Network, ends: Ends) -> Iterator[Row]:
    """Jitter without a rate, so that every packet is delayed on its own: its spread, and who overtakes whom."""
    count, gap, asked = 2 * ECHOES, 0.005, "10 ms at 40 ms"
    for name in JITTERS:
        reshape(net, delay=Time.parse("40ms"), jitter=Time.parse("10ms"), distribution=name)
        found = ends.exchange(Echo(count, gap, 1.0), Train(count, gap, 1.0))
        delays = [way for echo in found.echoes for way in (echo.forward, echo.backward)]
        row = jitter_row(f"std of {name} jitter", name, delays)
        yield Row(row.what, row.measured, row.target, row.reached, asked, f"{len(delays)} packets")
        trains = [way.train for way in (found.forward, found.backward) if way.train]
        received = sum(train.received for train in trains)
        share = sum(train.overtakers for train in trains) / received
        yield share_row(
            f"overtaking by {name} jitter", share, expected_overtaking(name, count, gap), asked, f"{received} packets"
        )


def expected_overtaking(distribution: Distribution, count: int, gap: float) -> tuple[float, float]:
    """The 99 % interval of the share of packets that overtake, of two trains with 10 ms jitter: by trying it."""
    random, draws, shares = Random(1), jitter_table(distribution), []
    for _ in range(200):
        latest, late = 0.0, 0
        for number in range(count):
            came = number * gap + 0.04 + 0.01 * random.choice(draws) / SCALE
            late += came < latest  # of a pair that changed places the later one came first: as many either way
            latest = max(latest, came)
        shares.append(late / count)
    room = 2.58 * stdev(shares) / 2**0.5
    return fmean(shares) - room, fmean(shares) + room


def share_row(what: str, share: float, interval: tuple[float, float], asked: str, samples: str) -> Row:
    """A share of the packets against the interval that it may lie in."""
    low, high = interval
    return Row(what, f"{share:.3%}", f"{low:.3%} .. {high:.3%}", low <= share <= high, asked, samples)


def shares(net: Network, ends: Ends) -> Iterator[Row]:
    """What happens to some packets by chance, against the exact 99 % interval."""
    for values in SHARES:
        reshape(net, delay=Time.parse("5ms"), **values)
        shape, (what, asked) = net.plan.edge(0, 1).shape, next(iter(values.items()))
        found = ends.train(TRAIN, 0.0002)
        hits, of = found.sent - found.received, found.sent
        if what in ("duplicate", "reorder"):
            hits, of = found.duplicates if what == "duplicate" else found.overtakers, found.received
        share = float(asked) if isinstance(asked, Ratio) else shape.mean_loss
        least = share * (1 - 6 / small_frame(False)) if what == "corrupt" else share  # nobody checks a source MAC
        interval = partial(binomial_interval, trials=of, confidence=CONFIDENCE, inflation=loss_inflation(shape))
        name = "lost to corruption" if what == "corrupt" else what.replace("_", "-")
        told = f"{share:.3g}" if not isinstance(asked, Ratio) else str(asked)
        yield share_row(name, hits / of, (interval(least)[0], interval(share)[1]), told, f"{of} packets")


def goodputs(net: Network, ways: Sequence[Pair], warm: float, seconds: float) -> tuple[list[float], float]:
    """bit/s of TCP flows side by side, and the cores that the engine's process used while they counted."""
    addresses = [(src, dst, str(net.plan.addressing.ipv4(dst))) for src, dst in ways]
    with flows(programs_of(net), addresses, warm, seconds) as found:
        time.sleep(warm)
        used, start = engine_seconds(net), time.monotonic()
        time.sleep(max(0.0, seconds - 0.5))
        cores = (engine_seconds(net) - used) / (time.monotonic() - start)
    return found, cores


def engine_seconds(net: Network) -> float:
    """CPU time of the network's processes that hold packets; none where the kernel does."""
    keeper, ticks = str(net.runtime.handle["keeper"]["pid"]), 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if fields[1] == keeper and b"userspace/holder.py" in (process / "cmdline").read_bytes():
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rates(net: Network, ends: Ends) -> Iterator[Row]:
    """TCP goodput: at most 1448 / 1514 of the rate, for that is what headers leave of it."""
    for text in (*PROMISED_RATES, *OTHER_RATES):
        rate = Rate.parse(text) if text else None
        reshape(net, delay=Time.parse("20ms"), rate=rate)
        (got,), cores = goodputs(net, [(0, 1)], 5.0, 3.0)
        share = got / rate.bit_s if rate else 0.0
        told = f"{share:.1%}" if rate else f"{got / 1e9:.2f} Gbit/s"
        promised = text in PROMISED_RATES
        yield Row(
            "TCP goodput, 20 ms one way; cores",
            f"{told}; {cores:.2f}",
            "92-100 %" if promised else "",
            0.92 <= share <= 1 if promised else None,
            text or "no rate",
            "1 flow, 3 s",
        )


def ring(engine: str) -> Iterator[Row]:
    """Four flows at once around a ring of four nodes."""
    with network(make_engine(engine), "ring", 4) as net:
        reshape(net, delay=Time.parse("20ms"), rate=Rate.parse("100mbit"))
        found, cores = goodputs(net, [(rank, (rank + 1) % 4) for rank in range(4)], 4.0, 4.0)
    each = [got / 1e8 for got in found]
    told = " ".join(f"{100 * share:.1f}" for share in each) + " %"
    good = all(0.92 <= share <= 1 for share in each)
    yield Row("ring of 4, 20 ms: goodput of each", told, "92-100 %", good, "100mbit", "4 flows, 4 s")
    yield Row("ring of 4, 20 ms: engine's cores", f"{cores:.2f}", "< 1", cores < 1, "100mbit", "4 flows, 4 s")


def packets(net: Network, ends: Ends) -> Iterator[Row]:
    """Small packets at rising rates: up to which one nearly all arrive, and whether those that do not are counted."""
    host = str(net.plan.addressing.ipv4(1))
    for jitter in ("0s", "5ms"):
        reshape(net, delay=Time.parse("20ms"), jitter=Time.parse(jitter))
        best, most, total, missing, dropped = 0.0, 0.0, 0, 0, 0
        with sunk(programs_of(net), host):
            for wanted in PACKET_RATES:
                before, steal = arrived(net), softnet_drops()
                sent, offered = flooded(programs_of(net), host, wanted, 2.0)
                after = settled(net)
                came, lost = after[0] - before[0], after[1] - before[1]
                kept = came >= 0.999 * sent
                total, missing, dropped = total + sent, missing + sent - came - lost, dropped + lost
                best, most = max(best, offered) if kept else best, max(most, offered)
                note(
                    f"  {wanted} packets/s wanted, {offered:.0f} offered: {sent} sent, {came} arrived, {lost} dropped,"
                    f" {sent - came - lost} unexplained ({softnet_drops() - steal} dropped by the host's backlog)"
                )
        what, asked = f"packets/s with < 0.1 % dropped, jitter {jitter}", "20 ms, 100 B"
        least = MAX_JITTERED if jitter != "0s" else 0
        told = f"{best / 1e3:.0f}k" + ("" if best < most else ", no more sent")
        reached = best >= least if least and (best < most or most >= least) else None
        target = f">= {least // 1000}k if so many are sent" if least else ""
        yield Row(what, told, target, reached, asked, f"{len(PACKET_RATES)} rates, 2 s")
        told = f"{missing} of {dropped + missing} lost"
        yield Row(f"  lost and not counted as dropped, jitter {jitter}", told, "0", not missing, asked, f"{total} sent")


def arrived(net: Network) -> tuple[int, int, int]:
    """IPv4 packets that node 1 got from the link, those that the link dropped, and those that it still holds."""
    stats = net.applied()[0, 1].stats
    lines = net.runtime.in_each([1], lambda _: Path("/proc/thread-self/net/snmp").read_text().splitlines())[1]
    names, values = (line.split() for line in lines if line.startswith("Ip:"))
    return int(values[names.index("InDelivers")]), stats.dropped, stats.backlog_packets


def settled(net: Network) -> tuple[int, int, int]:
    """The same when nothing is under way any more."""
    for _ in range(50):
        time.sleep(0.2)
        found = arrived(net)
        if not found[2] and found == arrived(net):
            break
    return found


def softnet_drops() -> int:
    """Packets that this kernel dropped because a CPU's backlog was full (net.core.netdev_max_backlog)."""
    return sum(int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines())


def note(text: str) -> None:
    """Say on standard error what is going on."""
    print(text, file=sys.stderr, flush=True)


PARTS: dict[str, Callable[[Network, Ends], Iterator[Row]]] = {
    "rtt": trips, "jitter": jitters, "shares": shares, "tcp": rates, "packets": packets,
}  # fmt: skip
NAMES = (*PARTS, "ring")


def measure(engine: str, only: Sequence[str]) -> list[Row]:
    """One engine on the running kernel; every figure is told as it comes."""
    rows: list[Row] = []

    def tell(found: Iterator[Row]) -> None:
        for row in found:
            rows.append(row)
            note(f"  {row.what}, {row.requested}: {row.measured}")

    with pair(make_engine(engine)) as net, Ends(net.plan, probes_of(net)) as ends:
        for name in (name for name in PARTS if name in only):
            tell(PARTS[name](net, ends))
        for reading in net.observe().values():
            for event in reading.notes:
                note(f"  EVENT {event}")
    if "ring" in only:
        tell(ring(engine))
    return rows


def compare(only: Sequence[str]) -> None:
    """Every engine wherever it runs, each in a process of its own, in one table."""
    here = "UML" if os.environ.get("WITH_NETEM") == "uml" else "native"
    columns: dict[str, tuple[str, list[str]]] = {
        f"netem ({here})": (NETEM, []), f"userspace ({here})": (USERSPACE, []),
    }  # fmt: skip
    if not works(NETEM, features()):
        guest = [str(Path(__file__).parents[1] / "scripts" / "with-netem")]
        columns = {"netem (UML)": (NETEM, guest), "userspace (UML)": (USERSPACE, guest), "userspace (native)": (USERSPACE, [])}
    rows = {}
    for number, (column, (engine, prefix)) in enumerate(columns.items(), 1):
        note(f"{column}, {number} of {len(columns)} (some minutes each)")
        argv = [*prefix, sys.executable, "-m", "benchmarks.engines", "--engine", engine, "--json", "--only", *only]
        done = subprocess.run(argv, stdout=subprocess.PIPE)
        rows[column] = [] if done.returncode else [Row(**row) for row in json.loads(done.stdout)]
    side_by_side(f"Engines ({os.cpu_count()} cores)", rows)


def main() -> None:
    """Measure and print."""
    compare(NAMES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines")
    parser.add_argument("--engine", choices=ENGINES, help="only this one, on the running kernel")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these parts")
    parser.add_argument("--json", action="store_true", help="of one engine")
    told = parser.parse_args()
    if not told.engine:
        compare(told.only)
    elif told.json:
        print(json.dumps([asdict(row) for row in measure(told.engine, told.only)]))
    else:
        side_by_side(told.engine, {told.engine: measure(told.engine, told.only)})
