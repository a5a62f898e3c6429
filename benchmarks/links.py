"""What the links of one engine do: delay, jitter, shares, goodput, packets per second; each part yields rows.

All of it is seen from user space: where the engine delays packets at their receiver, the kernel stamps them too early.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random
from statistics import fmean, quantiles, stdev
from typing import Any

from benchmarks.fidelity import JITTERS, jitter_row, network, pair, probes_of, programs_of, reshape
from benchmarks.report import Row
from benchmarks.tcp import flows
from benchmarks.udp import flooded, sunk
from harness.model.distribution import SCALE, table
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import Distribution, Pair
from harness.model.units import Rate, Ratio, Time
from harness.networks.network import Network
from harness.shaping.detect import make_engine
from harness.shaping.userspace.precision import MAX_JITTERED
from harness.verify.binomial import CONFIDENCE, binomial_interval, loss_inflation
from harness.verify.driver import ProbeDriver
from harness.verify.edge_probe import Echo, EdgeProbe, Train
from harness.verify.node.packet import small_frame
from harness.verify.samples import EdgeMeasurement, TrainCount

PROMISED_RTT_MS, SHORT_RTT_MS = (10, 50, 200), (1, 2, 4)
ECHOES, TRAIN = 300, 20_000
PROMISED_RATES, OTHER_RATES = ("1mbit", "10mbit", "100mbit", "500mbit"), ("1gbit", None)
PACKET_RATES = (25_000, 50_000, 100_000, 200_000, 300_000)
FLOODED: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("20 ms", {}, 0),
    ("20 ms, jitter 5 ms", {"jitter": Time.parse("5ms")}, MAX_JITTERED),
    ("20 ms, queue of 700", {"limit": 700}, 0),
)
"""What packets cross at rising rates, and how many a second must arrive; the short queue drops many, to be counted."""
SHARES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    *(("loss", text, {"loss": Ratio.parse(text)}) for text in ("0.1%", "1%", "5%")),
    ("loss by a chain", "p 1% r 20%", {"gilbert_elliott": GilbertElliott(Ratio.parse("1%"), Ratio.parse("20%"))}),
    ("duplicate", "1%", {"duplicate": Ratio.parse("1%")}),
    ("reorder", "2%", {"reorder": Ratio.parse("2%")}),
    ("corrupt", "1%", {"corrupt": Ratio.parse("1%")}),
)


class Ends(ProbeDriver):
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
    late: list[float] = []
    for ms in (*SHORT_RTT_MS, *PROMISED_RTT_MS):
        reshape(net, delay=Time(ms * 500_000))
        found = ends.exchange(echo=Echo(ECHOES, 0.006, 1.0))
        late += found.timers_late
        middle, high, told = percentiles([one.round_trip for one in found.echoes])
        promised = ms in PROMISED_RTT_MS
        reached = -0.5 <= middle - ms <= 1.5 and high - ms <= 5 if promised else None
        target = "p50 -0.5..+1.5, p99 +5 ms" if promised else ""
        yield Row("RTT p50 p90 p99, ms", told, target, reached, f"{ms} ms", f"{len(found.echoes)} echoes")
    yield Row("  sleeps end late by, ms", percentiles(late)[2], "", None, "meanwhile", f"{len(late)} sleeps")


def percentiles(seconds: Sequence[float]) -> tuple[float, float, str]:
    """The median and the 99th percentile in ms, and these and the 90th in words."""
    cuts = [1e3 * cut for cut in quantiles(seconds, n=100, method="inclusive")]
    return cuts[49], cuts[98], f"{cuts[49]:.2f} {cuts[89]:.2f} {cuts[98]:.2f}"


def jitters(net: Network, ends: Ends) -> Iterator[Row]:
    """Jitter without a rate, so that every packet is delayed on its own: its spread, and who is overtaken."""
    count, gap = 2 * ECHOES, 0.005
    for name in JITTERS:
        reshape(net, delay=Time.parse("40ms"), jitter=Time.parse("10ms"), distribution=name)
        delays = [way for echo in ends.exchange(Echo(count, gap, 1.0)).echoes for way in (echo.forward, echo.backward)]
        row = jitter_row(net, delays)
        yield row
        found, expected = ends.train(count, gap), expected_overtaking(name, count, gap)
        yield share_row(f"overtaking by {name} jitter", found.overtakers, found.received, expected, row.requested)


def expected_overtaking(distribution: Distribution, count: int, gap: float) -> tuple[float, float]:
    """The 99 % interval of the share of packets that overtake, of two trains with 10 ms jitter: by trying it."""
    random, draws, shares = Random(1), table(distribution), []
    for _ in range(200):
        latest, late = 0.0, 0
        for number in range(count):
            came = number * gap + 0.04 + 0.01 * random.choice(draws) / SCALE
            late += came < latest
            latest = max(latest, came)
        shares.append(late / count)
    room = 2.58 * stdev(shares) / 2**0.5
    return fmean(shares) - room, fmean(shares) + room


def share_row(what: str, hits: int, of: int, interval: tuple[float, float], requested: str) -> Row:
    """A share of the packets against the interval that it may lie in."""
    low, high = interval
    told = f"{100 * low:.3f} .. {100 * high:.3f} %"
    return Row(what, f"{100 * hits / of:.3f} %", told, low <= hits / of <= high, requested, f"{of} packets")


def shares(net: Network, ends: Ends) -> Iterator[Row]:
    """What happens to some packets by chance, against the exact 99 % interval."""
    for what, told, values in SHARES:
        reshape(net, delay=Time.parse("5ms"), **values)
        shape = net.plan.edge(0, 1).shape
        found = ends.train(TRAIN, 0.0002)
        hits, of = {
            "duplicate": (found.duplicates, found.received),
            "reorder": (found.overtakers, found.received),
        }.get(what, (found.sent - found.received, found.sent))
        share = float(values[what]) if what in values else shape.mean_loss
        # A flipped bit in the 6 bytes of the sender's MAC is noticed by nobody; in user space there is no MAC.
        least = share * (1 - 6 / small_frame(False)) if what == "corrupt" else share
        interval = partial(binomial_interval, trials=of, confidence=CONFIDENCE, inflation=loss_inflation(shape))
        name = {"corrupt": "lost by corrupt"}.get(what, what)
        yield share_row(name, hits, of, (interval(least)[0], interval(share)[1]), told)


def goodputs(net: Network, ways: Sequence[Pair], warm: float, seconds: float) -> tuple[list[float], str]:
    """bit/s of TCP flows side by side; the cores that the engine used meanwhile, and what the links dropped in all."""
    addresses = [(src, dst, str(net.plan.addressing.ipv4(dst))) for src, dst in ways]
    before = sum(edge.stats.dropped for edge in net.applied().values())
    with flows(programs_of(net), addresses, warm, seconds) as found:
        time.sleep(warm)
        used, start = engine_seconds(net), time.monotonic()
        time.sleep(seconds - 0.5)
        cores = (engine_seconds(net) - used) / (time.monotonic() - start)
    dropped = sum(edge.stats.dropped for edge in net.applied().values()) - before
    return found, f"{cores:.2f}; {dropped}"


def engine_seconds(net: Network) -> float:
    """CPU time of the network's processes that hold packets; none where the kernel does."""
    keeper, ticks = str(net.backend.handle["keeper"]["pid"]), 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if fields[1] == keeper and b"userspace/daemon.py" in (process / "cmdline").read_bytes():
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rates(net: Network, ends: Ends) -> Iterator[Row]:
    """TCP goodput: at most 1448 / 1514 of the rate, for that is what headers leave of it.

    Netem drops where the sender is, whose TCP hears of it at once and slows down; in user space, as in a real network,
    it hears a round trip later, so that more is dropped.
    """
    for text in (*PROMISED_RATES, *OTHER_RATES):
        rate = Rate.parse(text) if text else None
        reshape(net, delay=Time.parse("20ms"), rate=rate)
        (got,), told = goodputs(net, [(0, 1)], 5.0, 6.0)
        share = got / rate.bit_s if rate else 0.0
        told = (f"{share:.1%}; " if rate else f"{got / 1e9:.2f} Gbit/s; ") + told
        reached = 0.92 <= share <= 1 if text in PROMISED_RATES else None
        target = "92-100%" if text in PROMISED_RATES else ""
        yield Row("TCP goodput; cores; dropped", told, target, reached, f"{text or 'no rate'}, 20 ms", "1 flow, 6 s")


def ring(net: Network, ends: Ends) -> Iterator[Row]:
    """Four flows at once around a ring of four nodes, a network of its own."""
    with network(make_engine(net.engine), "ring", 4) as four:
        reshape(four, delay=Time.parse("20ms"), rate=Rate.parse("100mbit"))
        found, used = goodputs(four, [(rank, (rank + 1) % 4) for rank in range(4)], 5.0, 6.0)
    each, cores = [got / 1e8 for got in found], float(used.split(";")[0])
    told, good = " ".join(f"{share:.1%}" for share in each), all(0.92 <= share <= 1 for share in each)
    yield Row("ring of 4: goodput of each", told, "92-100%", good, "100mbit, 20 ms", "4 flows, 6 s")
    yield Row("ring of 4: cores; dropped", used, "< 1 core", cores < 1, "100mbit, 20 ms", "4 flows, 6 s")


def packets(net: Network, ends: Ends) -> Iterator[Row]:
    """Small packets at rising rates: up to which one nearly all arrive, and whether all that do not are counted."""
    host = str(net.plan.addressing.ipv4(1))
    for asked, values, least in FLOODED:
        reshape(net, delay=Time.parse("20ms"), **values)
        best, most, total, lost, counted = 0.0, 0.0, 0, 0, 0
        with sunk(programs_of(net), host):
            for wanted in PACKET_RATES:
                before, backlog = arrived(net), backlog_drops()
                sent, offered = flooded(programs_of(net), host, wanted, 2.0)
                after = settled(net)
                came, dropped = after[0] - before[0], after[1] - before[1]
                best, most = offered if came >= 0.999 * sent and offered > best else best, max(most, offered)
                total, lost, counted = total + sent, lost + sent - came, counted + dropped
                note(
                    f"    {wanted}/s wanted, {offered:.0f}/s sent: {sent} sent = {came} arrived + {dropped} dropped +"
                    f" {sent - came - dropped}; this kernel's backlog dropped {backlog_drops() - backlog}"
                )
        if "limit" not in values:
            told = f"{best / 1e3:.0f}k/s of {most / 1e3:.0f}k/s sent"
            reached = best >= least if least and (best < most or most >= least) else None
            target = f">= {least // 1000}k/s if sent" if least else ""
            yield Row("100 B packets kept (> 99.9 %)", told, target, reached, asked, f"{len(PACKET_RATES)} rates, 2 s")
        told = f"{lost - counted} of {lost}"
        reached = lost == counted if lost or counted else None
        yield Row("  lost, not counted as dropped", told, "0", reached, asked, f"{total} sent")


def arrived(net: Network) -> tuple[int, int, int]:
    """IPv4 packets that node 1 got from the link, those that the link dropped, and those that it still holds."""
    stats = net.applied()[0, 1].stats
    told = programs_of(net)(1, ["cat", "/proc/net/snmp"]).communicate()[0].decode()
    names, values = (line.split() for line in told.splitlines() if line.startswith("Ip:"))
    return int(values[names.index("InDelivers")]), stats.dropped, stats.backlog_packets


def settled(net: Network) -> tuple[int, int, int]:
    """The same when nothing is under way any more."""
    for _ in range(50):
        time.sleep(0.2)
        found = arrived(net)
        if not found[2] and found == arrived(net):
            break
    return found


def backlog_drops() -> int:
    """Packets that this kernel dropped because a CPU's backlog was full (net.core.netdev_max_backlog)."""
    return sum(int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines())


def note(text: str) -> None:
    """Say on standard error what is going on."""
    print(text, file=sys.stderr, flush=True)


PARTS: dict[str, Callable[[Network, Ends], Iterator[Row]]] = {
    "rtt": trips, "jitter": jitters, "shares": shares, "tcp": rates, "ring": ring, "packets": packets,
}  # fmt: skip


def measure(engine: str, only: Collection[str], seed: int = 0) -> list[Row]:
    """One engine on the running kernel; every figure is told as it comes. A seed makes the same draws again."""
    rows = []
    with pair(make_engine(engine), seed) as net, Ends(net.plan, probes_of(net)) as ends:
        for row in chain.from_iterable(part(net, ends) for name, part in PARTS.items() if name in only):
            note(f"  {row.what.strip()}, {row.requested}: {row.measured}")
            rows.append(row)
        notes = [text for reading in net.observe().values() for text in reading.notes]
    for text in notes:
        note(f"  {text}")
    return [*rows, Row("engine's process restarted", str(len(notes)), "0", not notes, "", "whole run")]
