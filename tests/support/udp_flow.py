"""A UDP flow of packets of 100 bytes at an even pace, from node 0 to node 1, counted where they arrive.

Sender and receiver are this file's own text, given to ``python -c``: a node, e.g. a container, needs no copy of it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

Spawn = Callable[[int, Sequence[str]], "subprocess.Popen[bytes]"]
"""Starts a program in a node, with its standard output as a pipe."""
PORT = 5202
_PROGRAM = ("-c", Path(__file__).read_text(encoding="utf-8")) if "__file__" in globals() else ()


def send(host: str, count: int, gap: float) -> None:
    """That many numbered packets of 100 bytes, ``gap`` seconds apart; late ones a little less, but never in a burst."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        begin = last = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, max(begin + number * gap, last + 0.8 * gap) - time.monotonic()))
            last = time.monotonic()
            flow.sendto(number.to_bytes(4, "big") + bytes(96), (host, PORT))


def receive(host: str, count: int) -> None:
    """Print how many distinct packets came, and how many in all, three seconds after the last."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        flow.bind((host, PORT))
        print("ready", flush=True)
        flow.settimeout(20)
        seen: list[int] = []
        try:
            while len(seen) < count:
                seen.append(int.from_bytes(flow.recv(200)[:4], "big"))
                flow.settimeout(3)
        except TimeoutError:
            pass
        print(len(set(seen)), len(seen))


@contextmanager
def paced_flow(spawn: Spawn, host: str, count: int, gap: float) -> Iterator[list[int]]:
    """A flow from node 0 to node 1 while the block runs; the list gets (distinct, all) received at its end."""
    receiver = spawn(1, [sys.executable, *_PROGRAM, "receive", host, str(count)])
    assert receiver.stdout is not None
    assert receiver.stdout.readline() == b"ready\n"
    sender = spawn(0, [sys.executable, *_PROGRAM, "send", host, str(count), str(gap)])
    result: list[int] = []
    try:
        yield result
        assert sender.wait(120) == 0
        result += map(int, receiver.communicate(timeout=120)[0].split())
    finally:
        for process in (sender, receiver):
            process.kill()
            process.wait()


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        receive(sys.argv[2], int(sys.argv[3]))
