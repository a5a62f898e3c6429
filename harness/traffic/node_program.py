"""One end of a load, in a node: ``python3 -I -S -c TEXT ORDER``, with this file's text and an order in JSON.

    {"role": "receive", "kind": "udp" | "tcp", "address": own, "token": number}
    {"role": "send", "kind": "udp", "to": [address, port], "token", "payload": bytes, "interval": seconds, "on", "off"}
    {"role": "send", "kind": "tcp", "to": [address, port], "flows", "congestion_control"}

It prints {"ready": port} or {"error": why}, and then its counts as a line of JSON every REPORT_S. When its standard
input ends, it prints a last line and exits. Standard library and Python 3.8 only, because containers may have any
image.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

REPORT_S = 0.25
TICK_S = 0.001
"""UDP datagrams that are due within a tick are sent at once, to save CPU time."""
LATE_S = 0.05
"""Datagrams that are late by up to this time, due to the machine or a full queue, are still sent."""
_HEAD = struct.Struct("!QQ")
"""The head of a datagram: the load's token and a number from 0 up."""
_BATCH = 256
_ACKED, _AGAIN = slice(120, 128), slice(100, 104)
"""Of struct tcp_info (linux/tcp.h): tcpi_bytes_acked and tcpi_total_retrans."""
_CHUNK = 1 << 18


class Reports:
    """Prints counts; the next report is due at ``due``."""

    def __init__(self) -> None:
        self.due = 0.0

    def say(self, **facts: int) -> None:
        """One line of JSON."""
        self.due = time.monotonic() + REPORT_S
        os.write(1, json.dumps(facts).encode() + b"\n")


def send_udp(order: dict[str, Any], reports: Reports) -> None:
    """Send at a constant rate, perhaps with pauses, until standard input ends."""
    token, interval, on, off = order["token"], order["interval"], order["on"], order["off"]
    filling = bytes(order["payload"] - _HEAD.size)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(tuple(order["to"]))
    reports.say(ready=sock.getsockname()[1])
    packets, due, began = 0, time.monotonic(), time.monotonic()
    while True:
        now = time.monotonic()
        if off and (now - began) % (on + off) >= on:
            due = began + ((now - began) // (on + off) + 1) * (on + off)
        due = max(due, now - LATE_S)
        batch = 0
        while due <= now and batch < _BATCH:
            with contextlib.suppress(OSError):  # the receiver counts it as lost
                sock.send(_HEAD.pack(token, packets) + filling)
            packets, due, batch = packets + 1, due + interval, batch + 1
        if now >= reports.due:
            reports.say(packets=packets)
        wait = min(max(due, now + TICK_S), reports.due) - time.monotonic()
        if select.select([0], [], [], max(0.0, wait))[0]:
            reports.say(packets=packets)
            return


def receive_udp(order: dict[str, Any], reports: Reports) -> None:
    """Count the load's datagrams, and note the highest number, until standard input ends."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind((order["address"], 0))
    sock.setblocking(False)
    reports.say(ready=sock.getsockname()[1])
    packets, highest, head = 0, -1, bytearray(_HEAD.size)
    while True:
        ready = select.select([sock.fileno(), 0], [], [], max(0.0, reports.due - time.monotonic()))[0]
        for _ in range(_BATCH if sock.fileno() in ready else 0):
            try:
                size = sock.recv_into(head)
            except OSError:
                break
            token, number = _HEAD.unpack(head)
            if size == _HEAD.size and token == order["token"]:
                packets, highest = packets + 1, max(highest, number)
        if 0 in ready or time.monotonic() >= reports.due:
            reports.say(packets=packets, highest=highest)
            if 0 in ready:
                return


def send_tcp(order: dict[str, Any], reports: Reports) -> None:
    """Send over several connections as fast as possible, until standard input ends."""
    flows = []
    for _ in range(order["flows"]):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.settimeout(order["patience"])
        sock.connect(tuple(order["to"]))
        if order["congestion_control"]:  # after connecting, because a route's own would override it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, order["congestion_control"].encode())
        sock.setblocking(False)
        flows.append(sock)
    reports.say(ready=0)
    data, poll = bytes(_CHUNK), select.poll()
    poll.register(0, select.POLLIN)
    by_number = {sock.fileno(): sock for sock in flows}
    for number in by_number:
        poll.register(number, select.POLLOUT)
    while True:
        ready = dict(poll.poll(max(0.0, reports.due - time.monotonic()) * 1000))
        for number in ready.keys() & by_number.keys():
            with contextlib.suppress(BlockingIOError):
                by_number[number].send(data)
        if 0 in ready or time.monotonic() >= reports.due:
            infos = [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128) for sock in flows]
            acked, again = (sum(_number(info[part]) for info in infos) for part in (_ACKED, _AGAIN))
            reports.say(bytes=acked, again=again)
            if 0 in ready:
                return


def receive_tcp(order: dict[str, Any], reports: Reports) -> None:
    """Receive and count bytes of all connections, until standard input ends."""
    listener = socket.create_server((order["address"], 0), backlog=256)
    listener.setblocking(False)
    reports.say(ready=listener.getsockname()[1])
    buffer, poll, count = bytearray(_CHUNK), select.poll(), 0
    flows: dict[int, socket.socket] = {}
    for number in (0, listener.fileno()):
        poll.register(number, select.POLLIN)
    while True:
        ready = dict(poll.poll(max(0.0, reports.due - time.monotonic()) * 1000))
        if listener.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                sock = listener.accept()[0]
                sock.setblocking(False)
                flows[sock.fileno()] = sock
                poll.register(sock, select.POLLIN)
        for number in ready.keys() & flows.keys():
            size = _take(flows[number], buffer)
            count += size or 0
            if size == 0:
                poll.unregister(number)
                flows.pop(number).close()
        if 0 in ready or time.monotonic() >= reports.due:
            reports.say(bytes=count)
            if 0 in ready:
                return


def _take(sock: socket.socket, buffer: bytearray) -> int | None:
    """Receive and discard bytes; return their number, 0 at the end, None where there are none."""
    try:
        return sock.recv_into(buffer, len(buffer), socket.MSG_TRUNC)  # the kernel discards them
    except BlockingIOError:
        return None
    except OSError:
        return 0


def _number(part: bytes) -> int:
    return int.from_bytes(part, sys.byteorder)


ROLES = {
    ("send", "udp"): send_udp,
    ("receive", "udp"): receive_udp,
    ("send", "tcp"): send_tcp,
    ("receive", "tcp"): receive_tcp,
}


def main(order: dict[str, Any]) -> int:
    """Execute the order; return the exit code."""
    try:
        ROLES[order["role"], order["kind"]](order, Reports())
    except OSError as problem:
        why = str(problem)
        if problem.errno == errno.ENOENT and order.get("congestion_control"):
            why = "this kernel has no congestion control " + repr(order["congestion_control"])
        with contextlib.suppress(OSError):
            os.write(1, json.dumps({"error": why}).encode() + b"\n")
        return 1
    return 0


if __name__ == "__main__":
    os._exit(main(json.loads(sys.argv[1])))
