"""The receiving half of a probe: one thread per socket that stamps, counts and sends back what arrives.

It needs no orders: a packet says which job it belongs to, so that no train can arrive before its receiver is ready.
Stamps are taken in user space. The kernel's own would be earlier, but a shaper in user space (NFQUEUE) delays a packet
after the kernel has stamped it.
"""

from __future__ import annotations

import socket
import threading
from time import monotonic_ns
from typing import Any, Final

from harness.node.probe_packet import BULK, ECHO, FRAME, HEADER, MAGIC, REPLY, overhead, small

RECEIVE_BUFFER: Final = 32 << 20
_UDP_GRO: Final = 104
"""linux/udp.h; Python has no name for it."""
_SO_RCVBUFFORCE: Final = 33


class Flow:
    """What arrived of one echo or train."""

    def __init__(self) -> None:
        self.first: dict[int, tuple[int, ...]] = {}
        self.duplicates = 0
        self.late = 0
        self._latest = -1

    def add(self, sequence: int, stamps: tuple[int, ...]) -> None:
        """Count one packet."""
        if sequence in self.first:
            self.duplicates += 1
            return
        self.first[sequence] = stamps
        if sequence < self._latest:
            self.late += 1
        self._latest = max(self._latest, sequence)


class Bulk:
    """What arrived of a train that measures the rate.

    ``points`` are (arrival in ns, bytes on the wire so far), one for every read that had to wait for its packet. Where
    packets lie ready, the stamp is the reader's speed and not the link's, so those are only counted.
    """

    def __init__(self) -> None:
        self.points: list[tuple[int, int]] = []
        self.wire_bytes = 0
        self.reads = 0

    def add(self, arrival: int, wire_bytes: int, waited: bool) -> None:
        """Count one read, which is one packet or several that the kernel joined."""
        self.wire_bytes += wire_bytes
        self.reads += 1
        if waited:
            self.points.append((arrival, self.wire_bytes))


class Receiver(threading.Thread):
    """Reads one bound socket until the process ends."""

    def __init__(self, address: str, *, bulk: bool = False) -> None:
        super().__init__(daemon=True)
        self.ipv6 = ":" in address
        self.socket = socket.socket(socket.AF_INET6 if self.ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):
            self._try_option(socket.SOL_SOCKET, option, RECEIVE_BUFFER)
        if bulk:
            self._try_option(socket.IPPROTO_UDP, _UDP_GRO, 1)
        self.socket.bind((address, 0))
        self.flows: dict[int, Flow] = {}
        self.bulks: dict[int, Bulk] = {}

    def _try_option(self, level: int, option: int, value: int) -> None:
        try:
            self.socket.setsockopt(level, option, value)
        except OSError:
            return  # an older kernel, or not privileged: slower, not wrong

    @property
    def port(self) -> int:
        """The UDP port that it listens on."""
        port: int = self.socket.getsockname()[1]
        return port

    def run(self) -> None:
        """Handle packets until the process ends."""
        buffer, flags = bytearray(1 << 16), socket.MSG_DONTWAIT
        read, write = self.socket.recvfrom_into, self.socket.sendto
        while True:
            waited = False
            try:
                size, peer = read(buffer, 0, flags)
            except BlockingIOError:
                waited = True
                size, peer = read(buffer)
            arrival = monotonic_ns()
            if size < HEADER.size:
                continue
            magic, kind, _, job, sequence, sent, turned, returned = HEADER.unpack_from(buffer)
            if magic != MAGIC:
                continue
            if kind == ECHO:
                write(small(REPLY, job, sequence, sent, arrival, monotonic_ns()), peer)
            elif kind == BULK:
                self.bulk(job).add(arrival, self._wire_bytes(size), waited)
            else:
                self.flow(job).add(sequence, (sent, turned, returned, arrival))

    def _wire_bytes(self, payload: int) -> int:
        extra = overhead(self.ipv6)
        return payload + -(-payload // (FRAME - extra)) * extra

    def flow(self, job: int) -> Flow:
        """What arrived of an echo or a train so far."""
        return self.flows.setdefault(job, Flow())

    def bulk(self, job: int) -> Bulk:
        """What arrived of a rate train so far."""
        return self.bulks.setdefault(job, Bulk())

    def forget(self, job: int) -> None:
        """Drop what arrived of a job."""
        self.flows.pop(job, None)
        self.bulks.pop(job, None)

    def flow_answer(self, job: int, overtaking_ns: int) -> dict[str, Any]:
        """What arrived of an echo or a train, as plain JSON."""
        flow = self.flow(job)
        early = sum(1 for sent, *_, arrival in flow.first.values() if arrival - sent < overtaking_ns)
        return {"received": len(flow.first), "duplicates": flow.duplicates, "late": flow.late, "overtakers": early}
