"""The receiving half of a probe: one thread per socket that timestamps, counts and sends back what arrives.

It needs no request: packets name their job, so no train can arrive before its receiver is ready. Timestamps are taken
in user space, because a user-space shaper (NFQUEUE) delays a packet after the kernel has stamped it. Bulk trains have
the kernel's timestamps, too, for a reader that is slower than the link; where the engine makes those meaningless, the
receiver samples fast trains.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from time import monotonic_ns
from typing import Final

from harness.verify.node.packet import ECHO, HEADER, MAGIC, REPLY, overhead, small
from harness.verify.node.sampling import ROOM, SkippedPackets

RECEIVE_BUFFER: Final = 32 << 20
_UDP_GRO: Final = 104
"""linux/udp.h; Python has no name for it."""
_SO_RCVBUFFORCE: Final = 33
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@ll")


class FlowArrivals:
    """What arrived of one echo or train: each packet's timestamps, in the order of arrival."""

    def __init__(self) -> None:
        self.first: dict[int, tuple[int, ...]] = {}
        self.duplicates = 0

    def add(self, sequence: int, stamps: tuple[int, ...]) -> None:
        """Count one packet."""
        if sequence in self.first:
            self.duplicates += 1
        else:
            self.first[sequence] = stamps


class BulkFlow:
    """What arrived of a bulk train, as points of (arrival in ns, bytes on the wire so far).

    ``stamped`` has the kernel's timestamp of every read. ``waited`` has the reader's own, of reads that had to wait for
    their packet: those of packets that were ready show the reader's speed, not the link's. ``ends`` has the reader's
    timestamps of the first and the last read.
    """

    def __init__(self) -> None:
        self.stamped: list[tuple[int, int]] = []
        self.waited: list[tuple[int, int]] = []
        self.ends: list[tuple[int, int]] = []
        self.wire_bytes = 0
        self.reads = 0

    def add(self, wire_bytes: int, arrival: int, waited: bool, stamp: int) -> None:
        """Count one read: one packet, several that the kernel merged, or one and those skipped before it."""
        self.wire_bytes += wire_bytes
        self.reads += 1
        self.ends[1:] = [(arrival, self.wire_bytes)]
        if waited:
            self.waited.append((arrival, self.wire_bytes))
        if stamp:
            self.stamped.append((stamp, self.wire_bytes))


class Receiver(threading.Thread):
    """Reads one bound socket until the process ends."""

    def __init__(self, address: str, frame: int, *, bulk: bool = False) -> None:
        super().__init__(daemon=True)
        self.frame = frame
        self.ipv6 = ":" in address
        self.socket = socket.socket(socket.AF_INET6 if self.ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):
            self._try_option(socket.SOL_SOCKET, option, RECEIVE_BUFFER)
        self._bulk = bulk
        self.sampling = SkippedPackets(self.socket)
        if bulk:
            self._join(True)
            self._try_option(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.socket.bind((address, 0))
        self.flows: dict[int, FlowArrivals] = {}
        self.bulks: dict[int, BulkFlow] = {}

    def _join(self, join: bool) -> None:
        """Set whether the kernel may merge packets of one flow (GRO), so that one read returns many."""
        self._try_option(socket.IPPROTO_UDP, _UDP_GRO, int(join))

    def _try_option(self, level: int, option: int, value: int) -> None:
        try:
            self.socket.setsockopt(level, option, value)
        except OSError:
            return  # an older kernel, or no privilege: reading is slower, but correct

    @property
    def port(self) -> int:
        """The UDP port that it listens on."""
        port: int = self.socket.getsockname()[1]
        return port

    def run(self) -> None:
        """Handle packets until the process ends."""
        (self._run_bulk if self._bulk else self._run_small)()

    def _run_small(self) -> None:
        buffer = bytearray(2048)
        read, write = self.socket.recvfrom_into, self.socket.sendto
        while True:
            size, peer = read(buffer)
            arrival = monotonic_ns()
            if size < HEADER.size:
                continue
            magic, kind, _, job, sequence, sent, turned, returned = HEADER.unpack_from(buffer)
            if magic != MAGIC:
                continue
            if kind == ECHO:
                with contextlib.suppress(OSError):  # no route back: the sender counts it as lost
                    write(small(REPLY, job, sequence, sent, arrival, monotonic_ns()), peer)
            else:
                self.flow(job).add(sequence, (sent, turned, returned, arrival))

    def _run_bulk(self) -> None:
        buffers, space = [bytearray(1 << 16)], socket.CMSG_SPACE(_TIMESPEC.size) * 2 + ROOM
        read, skipped = self.socket.recvmsg_into, self.sampling.skipped
        while True:
            waited = False
            try:
                size, ancillary, _, _ = read(buffers, space, socket.MSG_DONTWAIT)
            except BlockingIOError:
                waited = True
                size, ancillary, _, _ = read(buffers, space)
            arrival = monotonic_ns()
            if size < HEADER.size:
                continue
            magic, _, _, job, *_ = HEADER.unpack_from(buffers[0])
            if magic == MAGIC:
                wire_bytes = self._wire_bytes(size) + skipped(ancillary) * self.frame
                self.bulk(job).add(wire_bytes, arrival, waited, _stamp(ancillary))

    def _wire_bytes(self, payload: int) -> int:
        extra = overhead(self.ipv6)
        return payload + -(-payload // (self.frame - extra)) * extra

    def flow(self, job: int) -> FlowArrivals:
        """What arrived of an echo or a train so far."""
        return self.flows.setdefault(job, FlowArrivals())

    def bulk(self, job: int) -> BulkFlow:
        """What arrived of a bulk train so far."""
        return self.bulks.setdefault(job, BulkFlow())

    def sample(self, one_in: int) -> None:
        """From now on read one packet in ``one_in`` (a power of two), and count each of the others as a full frame."""
        self.sampling.stop()
        self._join(one_in == 1)
        if one_in > 1 and not self.sampling.start(one_in):
            self._join(True)

    def arrived(self, job: int) -> int:
        """Bytes on the wire of a bulk train so far, including those skipped since the last read."""
        return self.bulk(job).wire_bytes + self.sampling.skipped_since() * self.frame

    def forget(self, job: int) -> None:
        """Drop the data of a job."""
        self.flows.pop(job, None)
        self.bulks.pop(job, None)

    def flow_answer(self, job: int) -> dict[str, int]:
        """Counts of a train: distinct packets, duplicates, and packets that overtook one sent before them."""
        flow = self.flow(job)
        overtakers, least = 0, 1 << 32
        for sequence in reversed(list(flow.first)):  # in the order of arrival, from the last
            overtakers += sequence > least
            least = min(least, sequence)
        return {"received": len(flow.first), "duplicates": flow.duplicates, "overtakers": overtakers}


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    """When the kernel received the packet, in ns of CLOCK_REALTIME; 0 where it took no timestamp."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            return int(seconds * 10**9 + nanoseconds)
    return 0
