"""TCP goodput between two nodes, or two namespaces: a sender and a receiver program, run by whoever starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Spawn = Callable[[int, Sequence[str]], "subprocess.Popen[bytes]"]
"""Starts a program in a node, with its standard output as a pipe."""
PORT = 5201
_CHUNK = 1 << 20


def receive(host: str, port: int, warm: float, seconds: float) -> None:
    """Take what comes; after ``warm`` seconds count for ``seconds``, then print bit/s."""
    with socket.create_server((host, port)) as server:
        print("ready", flush=True)
        connection = server.accept()[0]
        room = bytearray(_CHUNK)

        def drain(until: float) -> int:
            count = 0
            while time.monotonic() < until:
                got = connection.recv_into(room, _CHUNK, socket.MSG_TRUNC)
                if not got:
                    break
                count += got
            return count

        begin = time.monotonic() + warm
        drain(begin)
        start = time.monotonic()
        count = drain(start + seconds)
        print(8 * count / (time.monotonic() - start), flush=True)


def send(host: str, port: int) -> None:
    """Send until the receiver hangs up."""
    with socket.socket() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")  # bbr's pacing would stay if later
        connection.connect((host, port))
        data = bytes(_CHUNK)
        try:
            while True:
                connection.sendall(data)
        except OSError:
            return


@contextmanager
def flows(spawn: Spawn, ways: Sequence[tuple[int, int, str]], warm: float, seconds: float) -> Iterator[list[float]]:
    """Flows that run side by side during the block; the list gets the bit/s of payload of each at its end.

    Args:
        spawn: starts programs.
        ways: of each flow the node that sends, the one that receives, and the address of that.
        warm: seconds before it counts.
        seconds: for which it counts.
    """
    parts = ("-m", "benchmarks.tcp")
    result: list[float] = []
    processes, receivers = [], []
    try:
        for port, (_, target, host) in enumerate(ways, PORT):
            receivers.append(
                spawn(target, [sys.executable, *parts, "receive", host, str(port), str(warm), str(seconds)])
            )
            processes.append(receivers[-1])
        for receiver in receivers:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == b"ready\n"
        for port, (source, _, host) in enumerate(ways, PORT):
            processes.append(spawn(source, [sys.executable, *parts, "send", host, str(port)]))
        yield result
        result += [float(receiver.communicate(timeout=warm + seconds + 60)[0]) for receiver in receivers]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def goodput(spawn: Spawn, host: str, warm: float, seconds: float) -> float:
    """bit/s of payload from node 0 to node 1, whose address is ``host``."""
    with flows(spawn, [(0, 1, host)], warm, seconds) as found:
        pass
    return found[0]


if __name__ == "__main__":
    cpus = sorted(os.sched_getaffinity(0))  # one each, or the scheduler's luck decides the figure
    os.sched_setaffinity(0, {cpus[0] if sys.argv[1] == "send" else cpus[-1]})
    if sys.argv[1] == "receive":
        receive(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
    else:
        send(sys.argv[2], int(sys.argv[3]))
