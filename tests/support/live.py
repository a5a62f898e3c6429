"""Real networks for kernel tests."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

from harness.engine.netem import NetemEngine
from harness.runtime.base import Stdio
from harness.runtime.netns import NetnsRuntime
from harness.session import Network
from harness.store import Store


def find(record):
    return NetnsRuntime.from_handle(record.handle, NetemEngine())


@contextlib.contextmanager
def up(plan, name="test", folder: Path | None = None):
    """A network that is up, and gone afterwards."""
    network = Network.up(name, plan, NetnsRuntime(NetemEngine()), "netem", Store(folder), find)
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
    """(lost, smallest RTT in ms, mean RTT in ms); one packet before them resolves the addresses."""
    addressing = network.plan.addressing
    target = str(addressing.ipv4(dst) if version == 4 else addressing.ipv6(dst))
    run(network, src, "ping", "-c", "1", "-W", "5", target, check=False)
    text = run(network, src, "ping", "-n", "-q", "-c", str(count), "-i", str(interval), "-W", "5", target, check=False)
    sent, received = (int(re.search(rf"(\d+) {word}", text)[1]) for word in ("packets transmitted", "received"))
    times = re.search(r"= ([\d.]+)/([\d.]+)/", text)
    return sent - received, *(map(float, times.groups()) if times else (float("nan"), float("nan")))


FLOW = r"""
import socket, sys, time
role, host, port, count, gap = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
if role == "send":
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0, begin + number * gap - time.monotonic()))
        s.sendto(number.to_bytes(4, "big") + bytes(96), (host, port))
else:
    s.bind((host, port))
    print("ready", flush=True)
    s.settimeout(10)
    seen = []
    try:
        while len(set(seen)) < count:
            seen.append(int.from_bytes(s.recv(200)[:4], "big"))
            s.settimeout(3)
    except TimeoutError:
        pass
    print(len(set(seen)), len(seen), sum(b < a for a, b in zip(seen, seen[1:])))
"""


@contextlib.contextmanager
def paced_flow(network, src, dst, count, gap):
    """A UDP flow of 100-byte packets while the block runs; the list gets (distinct, all, overtaken) at the end."""
    address = str(network.plan.addressing.ipv4(dst))
    words = (address, "5000", str(count), str(gap))
    receiver = network.runtime.spawn(
        dst, [sys.executable, "-c", FLOW, "receive", *words], stdio=Stdio(subprocess.DEVNULL, subprocess.PIPE, None)
    )
    assert receiver.stdout.readline() == b"ready\n"
    sender = network.runtime.spawn(src, [sys.executable, "-c", FLOW, "send", *words])
    result: list[int] = []
    try:
        yield result
        assert sender.wait(120) == 0
        result += map(int, receiver.communicate(timeout=120)[0].split())
    finally:
        for process in (sender, receiver):
            if process.poll() is None:
                process.kill()
                process.wait()
