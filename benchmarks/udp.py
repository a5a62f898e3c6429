"""UDP flows of packets of 100 bytes: as many a second as a machine can send, counted where they arrive."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.tcp import Spawn

PORT = 5202
_CHUNK = 100
_NAP = 0.0005


def flood(host: str, rate: float, seconds: float) -> None:
    """So many packets a second, late ones as fast as it goes; print how many, and how many seconds it took."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.connect((host, PORT))
        write, data, sent, begin = flow.send, bytes(100), 0, time.monotonic()
        while (elapsed := time.monotonic() - begin) < seconds:
            due = min(_CHUNK, int(rate * elapsed) - sent)
            for _ in range(due):
                write(data)
            sent += due
            if due < _CHUNK:
                time.sleep(_NAP)
        print(sent, elapsed)


def sink(host: str) -> None:
    """Take packets and throw them away: nobody reads, so that no reader needs a core. The kernel counts them as
    delivered (Ip InDelivers), and as more than the socket's buffer holds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        flow.bind((host, PORT))
        print("ready", flush=True)
        signal.pause()


@contextmanager
def sunk(spawn: Spawn, host: str) -> Iterator[None]:
    """A sink in node 1 while the block runs."""
    process = spawn(1, [sys.executable, "-m", "benchmarks.udp", "sink", host])
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.wait()


def flooded(spawn: Spawn, host: str, rate: float, seconds: float) -> tuple[int, float]:
    """Send so many packets a second from node 0, one process per CPU; how many were sent, and how many a second."""
    count = len(os.sched_getaffinity(0))
    argv = [sys.executable, "-m", "benchmarks.udp", "flood", host, str(rate / count), str(seconds)]
    senders = [spawn(0, argv) for _ in range(count)]
    told = [sender.communicate(timeout=seconds + 60)[0].split() for sender in senders]
    return sum(int(sent) for sent, _ in told), sum(int(sent) / float(elapsed) for sent, elapsed in told)


if __name__ == "__main__":
    if sys.argv[1] == "flood":
        flood(sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
    else:
        sink(sys.argv[2])
