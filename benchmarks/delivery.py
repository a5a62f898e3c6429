"""Packet-delivery traces: what arrives each second of UDP at more than the trace's rate, against what the trace allows.

    python -m benchmarks delivery                                 this kernel's engine, 60 s
    scripts/with-netem .venv/bin/python -m benchmarks delivery    netem, where the trace is played as rates

The trace is a walk of our own between 1 and 20 Mbit/s, seeded. It is played by a scenario. When it has begun is known
up to the time that the change took: of that time the moment is taken at which what arrived fits best.
"""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from benchmarks.fidelity import PIPES, network, programs_of, reshape
from benchmarks.report import Row, table
from harness.model.address import FRAME
from harness.model.delivery import Delivery, counts_of
from harness.model.format import format_share
from harness.model.opportunities import MS, Opportunities
from harness.model.units import Size, Time
from harness.networks.network import Network
from harness.scenario.deliveries import rates
from harness.scenario.played import Played
from harness.scenario.player import Player
from harness.scenario.scenario_file import load_scenario
from harness.shaping.base import Engine
from harness.shaping.detect import choose_engine, make_engine
from harness.shaping.facts import NETEM
from harness.shaping.shape_branch import automatic_burst, trace_buffer

SECONDS, WITHIN = 60, 0.05
LEAST, MOST = 1.0, 20.0
"""Mbit/s."""
PORT, PAYLOAD, COUNTED = 5203, 1472, 1504
"""Of a datagram that fills a packet of 1500 bytes, which a trace counts as 1504."""
_RCVBUFFORCE = 33
"""SO_RCVBUFFORCE; Python has no name for it."""
Play = Callable[[Network, Path, int], tuple[int, int]]
"""Plays the trace of a file for so many seconds; from when to when, in ms, the link may have been given it."""
DELAY = Time.parse("10ms")


def walk(seconds: int, seed: int = 1) -> str:
    """A trace: a rate that goes up or down by up to 2 Mbit/s ten times a second, and packets at random at that rate."""
    draws, rate, lines = random.Random(seed), 8.0, []
    for ms in range(1, seconds * 1000 + 1):
        if ms % 100 == 1:
            rate = min(MOST, max(LEAST, rate + draws.uniform(-2, 2)))
        share = rate * 1e3 / (COUNTED * 8)
        lines += [f"{ms}\n"] * (int(share) + (draws.random() < share % 1))
    return "".join([*lines, f"{seconds * 1000}\n"])


def send(host: str, mbit_s: float, seconds: float) -> None:
    """Full packets at a rate."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.connect((host, PORT))
        print("ready", flush=True)
        data, sent, begin = bytes(PAYLOAD), 0, time.monotonic()
        while (elapsed := time.monotonic() - begin) < seconds:
            due = int(mbit_s * 1e6 / 8 / COUNTED * elapsed)
            for _ in range(due - sent):
                with suppress(ConnectionRefusedError):  # the receiver has ended
                    flow.send(data)
            sent = due
            time.sleep(0.001)


def receive(host: str, seconds: float) -> None:
    """Print how many packets came in each millisecond of the monotonic clock, as JSON."""
    came: Counter[int] = Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 8 << 20)
        flow.settimeout(1)
        flow.bind((host, PORT))
        print("ready", flush=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                flow.recv(2048)
            except TimeoutError:
                continue
            came[time.monotonic_ns() // MS] += 1
    print(json.dumps(came), flush=True)


def by_scenario(net: Network, trace: Path, seconds: int) -> tuple[int, int]:
    """Play a trace as users do; from when to when (ms) the link was given it."""
    path = trace.with_name("s.yaml")
    path.write_text(
        f"until: {seconds}s\nevents:\n  - {{at: 0, trace: {{edge: 0-1, file: {trace.name}, one_way: true}}}}\n"
    )
    given: list[int] = []

    def tell(_: Played) -> None:
        given.append(time.monotonic_ns() // MS)

    begun = time.monotonic_ns() // MS
    Player(net, load_scenario(path), tell).play()
    if (left := begun + seconds * 1000 - time.monotonic_ns() // MS) > 0:
        time.sleep(left / 1000)
    return begun, given[0]


def by_tc(net: Network, trace: Path, seconds: int) -> tuple[int, int]:
    """Give the rates that a scenario would to the kernel by tc: what they do where a change takes no time."""
    delivery = Delivery.parse(str(trace))
    reshape(net, delay=DELAY, rate=delivery.mean_rate, buffer=Size(trace_buffer(delivery, DELAY, None)))
    shown = net.backend.spawn(0, ["tc", "qdisc", "show"], stdio=PIPES).communicate()[0].decode()
    found = re.search(r"qdisc tbf (\S+) dev (\S+) parent (\S+)", shown)
    assert found is not None
    place = f"dev {found[2]} parent {found[3]} handle {found[1]} tbf limit {trace_buffer(delivery, DELAY, None)}"
    tc = net.backend.spawn(0, ["tc", "-batch", "-"], stdio=PIPES)
    assert tc.stdin is not None
    begun = time.monotonic()
    for at, rate in takewhile(lambda point: point[0] < seconds, rates(delivery)):
        time.sleep(max(0.0, begun + at - time.monotonic()))
        burst = automatic_burst(rate.byte_s, FRAME)
        tc.stdin.write(f"qdisc change {place} rate {rate.bit_s}bit burst {burst}\n".encode())
        tc.stdin.flush()
    time.sleep(max(0.0, begun + seconds - time.monotonic()))
    tc.communicate()
    return round(begun * 1000), round(begun * 1000) + 50


def arrivals(
    engine: Engine, seconds: int, play: Play = by_scenario
) -> tuple[Delivery, dict[int, int], tuple[int, int]]:
    """The trace, how many packets came in each ms, and from when to when (ms) the link was given the trace."""
    with tempfile.TemporaryDirectory() as folder, network(engine, "line", 2) as net:
        trace = Path(folder, "walk.up")
        trace.write_text(walk(seconds))
        reshape(net, delay=DELAY)
        host, spawn, module = str(net.plan.addressing.ipv4(1)), programs_of(net), [sys.executable, "-m", __name__]
        receiver = spawn(1, [*module, "receive", host, str(seconds + 8)])
        _require_ready(receiver)
        sender = spawn(0, [*module, "send", host, str(1.5 * MOST), str(seconds + 3)])
        _require_ready(sender)
        time.sleep(0.5)
        between = play(net, trace, seconds)
        came = json.loads(receiver.communicate(timeout=60)[0])
        sender.wait(60)
        return Delivery.parse(str(trace)), {int(ms): count for ms, count in came.items()}, between


def _require_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"


def differences(delivery: Delivery, came: dict[int, int], began: int, seconds: int) -> list[float]:
    """By what share more than allowed came in each second."""
    trace = Opportunities(delivery, counts_of(delivery.digest), 0)
    found = []
    for second in range(seconds):
        allowed = float(trace.bytes_between(second * 1000 * MS, (second + 1) * 1000 * MS))
        packets = sum(came.get(began + ms, 0) for ms in range(second * 1000, (second + 1) * 1000))
        found.append(packets * COUNTED / allowed - 1)
    return found


def best(delivery: Delivery, came: dict[int, int], between: tuple[int, int], seconds: int) -> list[float]:
    """The differences for the beginning that fits best."""
    tries = (differences(delivery, came, began, seconds) for began in range(between[0], between[1] + 2))
    return min(tries, key=lambda found: sum(map(abs, found)))


def rows(found: list[float], what: str) -> list[Row]:
    """What came in each second."""
    worst, off = max(found, key=abs), sum(abs(one) > WITHIN for one in found)
    return [
        Row(
            f"{what}: a second differs by at most",
            f"{format_share(abs(worst))} {'more' if worst > 0 else 'less'}, {off} of {len(found)} s by over 5 %",
            f"within {format_share(WITHIN)}",
            not off,
        ),
        Row(f"{what}: on average", format_share(sum(map(abs, found)) / len(found))),
    ]


def main(seconds: int = SECONDS) -> None:
    """Measure and print."""
    name = choose_engine("auto")[0]
    made = rows(best(*arrivals(make_engine(name), seconds), seconds), "by a scenario")
    if name == NETEM:
        made += rows(best(*arrivals(make_engine(name), seconds, by_tc), seconds), "the same rates by tc")
    table(f"A packet-delivery trace of {LEAST:g} to {MOST:g} Mbit/s, {seconds} s ({name})", made)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
    else:
        receive(sys.argv[2], float(sys.argv[3]))
