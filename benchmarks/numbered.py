"""A UDP flow of numbered packets, 1,000 a second, for as long as its standard input is open."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

PORT, GAP, SILENCE = 5204, 0.001, 3.0
Spawn = Callable[[int, Sequence[str]], "subprocess.Popen[bytes]"]
"""Starts a program in a node, with its standard input and output as pipes."""


@dataclass
class Flow:
    """Packets that were sent, and those that arrived, each counted once; known when the flow has ended."""

    sent: int = 0
    arrived: int = 0

    @property
    def lost(self) -> int:
        """Those that did not."""
        return self.sent - self.arrived


def send(host: str) -> None:
    """Late packets follow a little faster, never in a burst; print how many they were."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.connect((host, PORT))
        number, begin, last = 0, time.monotonic(), 0.0
        while not select.select([sys.stdin], [], [], 0)[0]:
            time.sleep(max(0.0, begin + number * GAP - time.monotonic(), last + GAP / 2 - time.monotonic()))
            last = time.monotonic()
            flow.send(number.to_bytes(4, "big") + bytes(96))
            number += 1
    print(number)


def receive(host: str) -> None:
    """Print how many different packets came until there were none for a while."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        flow.bind((host, PORT))
        print("ready", flush=True)
        flow.settimeout(60)
        seen: set[bytes] = set()
        try:
            while True:
                seen.add(flow.recv(200)[:4])
                flow.settimeout(SILENCE)
        except TimeoutError:
            print(len(seen))


@contextmanager
def numbered_flow(spawn: Spawn, host: str) -> Iterator[Flow]:
    """From node 0 to node 1, whose address is ``host``, while the block runs."""
    module, flow = [sys.executable, "-m", "benchmarks.numbered"], Flow()
    receiver = spawn(1, [*module, "receive", host])
    processes = [receiver]
    try:
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == b"ready\n"
        processes.append(spawn(0, [*module, "send", host]))
        yield flow
        flow.sent = int(processes[1].communicate(timeout=60)[0])
        flow.arrived = int(receiver.communicate(timeout=60)[0])
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    (send if sys.argv[1] == "send" else receive)(sys.argv[2])
