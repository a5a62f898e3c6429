"""Real networks for kernel tests."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from functools import cache
from pathlib import Path

from benchmarks import udp
from harness.cli.networks import find_runtime as find
from harness.engine.capability import choose_engine
from harness.engine.make import make_engine
from harness.runtime.base import Stdio
from harness.runtime.netns import NetnsRuntime
from harness.session import Network
from harness.store import Store


@cache
def engine_name():
    """The engine that the environment names, or that works here."""
    return choose_engine(os.environ.get("HARNESS_ENGINE", "auto"))[0]


@contextlib.contextmanager
def up(plan, name="test", folder: Path | None = None):
    """A network that is up, and gone afterwards."""
    network = Network.up(name, plan, NetnsRuntime(make_engine(engine_name())), Store(folder), find)
    try:
        yield network
    finally:
        network.down()


def run(network, rank, *argv, check=True, timeout=120):
    """A program's standard output, run in a node."""
    process = network.runtime.spawn(rank, argv, stdio=Stdio(subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT))
    try:
        output = process.communicate(timeout=timeout)[0].decode()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if check:
        assert process.returncode == 0, output
    return output


def ping(network, src, dst, count=10, version=4, interval=0.1):
    """(lost, smallest RTT in ms, mean RTT in ms); one packet before them resolves the addresses.

    By user-space stamps: the kernel's are too early where a packet is held at its receiver.
    """
    addressing = network.plan.addressing
    target = str(addressing.ipv4(dst) if version == 4 else addressing.ipv6(dst))
    run(network, src, "ping", "-c", "1", "-W", "5", target, check=False)
    text = run(
        network, src, "ping", "-n", "-q", "-U", "-c", str(count), "-i", str(interval), "-W", "5", target, check=False
    )
    sent, received = (int(re.search(rf"(\d+) {word}", text)[1]) for word in ("packets transmitted", "received"))
    times = re.search(r"= ([\d.]+)/([\d.]+)/", text)
    return sent - received, *(map(float, times.groups()) if times else (float("nan"), float("nan")))


@contextlib.contextmanager
def paced_flow(network, src, dst, count, gap):
    """A UDP flow while the block runs; the list gets (distinct, all) packets received at its end."""

    def spawn(number, argv):
        stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, None)
        return network.runtime.spawn((src, dst)[number], argv, stdio=stdio)

    with udp.paced_flow(spawn, str(network.plan.addressing.ipv4(dst)), count, gap) as result:
        yield result
