"""A recorded packet in one line, as ``tcpdump -n`` writes it."""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import Final

from harness.capture.ip import ICMP, ICMPV6, TCP, UDP, Packet, parse
from harness.capture.points import Point
from harness.capture.record import Record
from harness.model.format import format_time

_NAMES: Final = {4: "IP", 6: "IP6"}
_FLAGS: Final = ((0x02, "S"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x20, "U"), (0x40, "E"), (0x80, "W"), (0x10, "."))
_ICMP: Final = {8: "echo request", 0: "echo reply", 3: "unreachable", 11: "time exceeded"}
_ICMPV6: Final = {128: "echo request", 129: "echo reply", 1: "unreachable", 2: "packet too big", 3: "time exceeded"}


def line(record: Record, point: Point, after: int | None) -> str:
    """The packet in one line; ``after``: ns since it was sent, if this is its reception and that is known."""
    seconds, ns = divmod(record.at, 1_000_000_000)
    clock = time.strftime("%H:%M:%S", time.localtime(seconds))
    delay = "" if after is None else f", after {format_time(after / 1e9, 4)}"
    return f"{clock}.{ns // 1000:06d} {point.edge} {point.side:8} {describe(record.data, record.length)}{delay}"


def describe(data: bytes, length: int) -> str:
    """Addresses, protocol and length of a packet."""
    packet = parse(data)
    if packet is None:
        return f"not IP, length {length}"
    head, size = data[packet.start :], packet.end - packet.start
    ports = packet.protocol in (TCP, UDP) and len(head) >= 4 and not packet.fragment
    ends = (f".{int.from_bytes(head[at : at + 2])}" if ports else "" for at in (0, 2))
    src, dst = (f"{ip_address(one)}{port}" for one, port in zip((packet.src, packet.dst), ends, strict=True))
    return f"{_NAMES[packet.version]} {src} > {dst}: {_transport(packet, head, size)}"


def _transport(packet: Packet, head: bytes, size: int) -> str:
    if packet.fragment:
        return f"ip-proto-{packet.protocol} at {packet.fragment}, length {size}"
    if packet.protocol == TCP and len(head) >= 20:
        flags = "".join(letter for bit, letter in _FLAGS if head[13] & bit)
        seq, ack, data = int.from_bytes(head[4:8]), int.from_bytes(head[8:12]), size - (head[12] >> 4) * 4
        acked = f", ack {ack}" if head[13] & 0x10 else ""
        return f"Flags [{flags or 'none'}], seq {seq}{acked}, length {data}"
    if packet.protocol == UDP and len(head) >= 8:
        return f"UDP, length {int.from_bytes(head[4:6]) - 8}"
    if packet.protocol in (ICMP, ICMPV6) and len(head) >= 8:
        name, kinds = ("ICMP", _ICMP) if packet.protocol == ICMP else ("ICMP6,", _ICMPV6)
        echo = f", id {int.from_bytes(head[4:6])}, seq {int.from_bytes(head[6:8])}"
        what = kinds.get(head[0], f"type {head[0]}")
        return f"{name} {what}{echo if what.startswith('echo') else ''}, length {size}"
    return f"ip-proto-{packet.protocol}, length {size}"
