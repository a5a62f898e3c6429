"""The packets of a probe, and their size on the wire.

A small packet carries its sender's timestamp, and an echo also the reflector's. Nodes on one host share one
CLOCK_MONOTONIC, so the difference of two nodes' timestamps is a one-way delay.
"""

from __future__ import annotations

import struct
from typing import Final

from harness.model.address import ETHERNET

HEADER: Final = struct.Struct("!4sBxHIIQQQ")
"""Magic, kind, (pad), segments in a burst, job, sequence number, sent, turned round, sent back; times in ns."""
MAGIC: Final = b"hprb"
ECHO, REPLY, TRAIN, BULK = range(4)
"""Kinds of packets: to be sent back, sent back, of a train, of a bulk train."""

SMALL_PAYLOAD: Final = 64
"""Bytes of UDP payload in a small packet."""


def overhead(ipv6: bool) -> int:
    """Bytes on the wire besides the UDP payload: Ethernet 14, IPv4 20 or IPv6 40, UDP 8."""
    return ETHERNET + (48 if ipv6 else 28)


def small_frame(ipv6: bool) -> int:
    """Bytes on the wire of a small packet."""
    return SMALL_PAYLOAD + overhead(ipv6)


def small(kind: int, job: int, sequence: int, sent: int, turned: int = 0, returned: int = 0) -> bytes:
    """A small packet."""
    header = HEADER.pack(MAGIC, kind, 0, job, sequence, sent, turned, returned)
    return header.ljust(SMALL_PAYLOAD, b"\0")


def burst(job: int, sequence: int, segments: int, frame: int, ipv6: bool) -> bytes:
    """The payload of ``segments`` frames of ``frame`` bytes, all with the same sequence number."""
    header = HEADER.pack(MAGIC, BULK, segments, job, sequence, 0, 0, 0)
    return header.ljust(frame - overhead(ipv6), b"\0") * segments
