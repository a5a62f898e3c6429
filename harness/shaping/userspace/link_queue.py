"""One direction of one edge in user space: what netem and tbf do to packets, decided in Python.

Pure: the time is an argument, packets are numbers, and decisions come back as netlink verdicts. It follows
net/sched/sch_netem.c (6.18), so that the same `Branch` means the same link on both engines:

* a packet is lost, duplicated, corrupted, dropped at the tail, delayed or reordered, in netem_enqueue's order;
* with a rate, a packet leaves at ``max(when the one before left, now + delay) + length / rate``, so that none
  overtakes; without a rate, every packet leaves at ``now + delay``, so that jitter reorders;
* behind the delay comes a token bucket (tbf) where the link has a burst, a buffer or a queue discipline, or a pacer
  that serves a packet-delivery trace.

Unlike netem, it bounds what waits for the rate in bytes, and does not bound what is on the delay line: it drops a
packet where those ahead of it, sent at the rate since they came, would take longer than Netem.queue_bytes. And it
sends queued packets, too, at a new rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.model.address import ETHERNET, full_frame
from harness.model.capacity import DROPTAIL
from harness.shaping.qdisc import Branch
from harness.shaping.userspace.chance import Chance
from harness.shaping.userspace.clock import NEVER, SECOND
from harness.shaping.userspace.counters import DROPPED, SENT_BYTES, SENT_PACKETS, Counts
from harness.shaping.userspace.delay_line import DelayLine
from harness.shaping.userspace.disciplines.make import looks_at_headers
from harness.shaping.userspace.nfqueue import accept_changed, accept_marked, accept_until, verdict
from harness.shaping.userspace.paced_queue import Line, PacedQueue
from harness.shaping.userspace.packet import HEADER_BYTES, MARKED, Packet, counted_bytes, wire_bytes

if TYPE_CHECKING:
    from harness.shaping.userspace.shared_cap import CapFlow


class LinkQueue(DelayLine):
    """The packets of one directed edge that wait in the kernel for a verdict, and the verdicts.

    Args:
        queue: the number of its NFQUEUE.
        branch: what to do to packets.
        counters: it counts up packets and bytes sent, and packets dropped.
        begun: when its trace began, ns.
    """

    def __init__(self, queue: int, branch: Branch, counters: Counts, begun: int = 0) -> None:
        super().__init__(full_frame(branch.mtu))
        self.queue, self.counters = queue, counters
        self.copies: list[bytes] = []
        """Payloads of duplicates that are due; the caller sends and removes them."""
        self.scheduled = NEVER
        """When the caller, who sets it, will look at this queue again."""
        self.flow: CapFlow | None = None
        """Where packets go when they are due, instead of being let go; the caller, who sets it, calls ``let_go``."""
        self.backlog_bytes = 0
        self._bucket: PacedQueue | None = None
        self._copies_made = 0
        self._chance = Chance(branch.netem)
        self.configure(branch, begun)

    def configure(self, branch: Branch, now: int) -> None:
        """Treat packets like this from now on; queued ones leave at the new rate, otherwise as before."""
        netem = branch.netem
        self._mtu, self._frame = branch.mtu, full_frame(branch.mtu)
        if (self._rate, self._overhead) != (netem.rate_byte_s, netem.overhead):
            self._change_rate(netem.rate_byte_s, netem.overhead, now)
        self.branch = branch
        self._chance.configure(netem)
        self._delay, self._jitter = netem.delay_ns, netem.jitter_ns
        self._limit = NEVER if netem.queue_bytes else netem.limit
        self._longest_wait = netem.queue_bytes * SECOND // netem.rate_byte_s if netem.queue_bytes else NEVER
        self._chancy, self._reorder = self._chance.meets, self._chance.reorders
        self._in_order = bool(branch.buffer_bytes)  # packets that will wait for a rate are not reordered
        queue = branch.queue or DROPTAIL
        if queue.kind == "fq_codel":
            self.unordered = NEVER
        if branch.delivery is not None:
            self._pace(Line(branch.delivery, queue, branch.buffer_bytes), now)
        elif branch.tbf is not None:
            self._pace(Line(branch.tbf, queue, branch.tbf.limit), now)
        elif self._bucket is not None:
            self._bucket.open(now)

    def _pace(self, line: Line, now: int) -> None:
        if self._bucket is None:
            self._bucket = PacedQueue(line, self.branch.netem.seed, self._frame, now)
        self._bucket.change(line, now)
        while not self._rate and (packet := self._pop(now)) is not None:  # it waited for a rate that is gone now
            self._bucket.adopt(packet, now)

    @property
    def begun(self) -> int:
        """When its trace began, ns; 0 without a trace."""
        return self._bucket.begun if self._bucket else 0

    @property
    def needs_payload(self) -> bool:
        """Whether the kernel must copy whole packets to us: to corrupt or to duplicate them."""
        return self._chance.corrupts or self._chance.duplicates

    @property
    def needs_header(self) -> bool:
        """Whether the kernel must copy packets' headers to us: to tell flows apart, or to mark congestion."""
        return self.branch.queue is not None and looks_at_headers(self.branch.queue)

    @property
    def per_packet(self) -> bool:
        """Whether the kernel must cut super-packets first, because chance decides about each packet."""
        return self._chancy or self._reorder

    @property
    def queued(self) -> int:
        """Packets on the delay line or waiting."""
        return len(self._fifo) + len(self._heap) + (self._bucket.packets if self._bucket else 0)

    @property
    def next(self) -> int:
        """When the next packet leaves, ns; NEVER where none is queued."""
        if not self._heap and self._bucket is None:
            return self._fifo[0][0] if self._fifo else NEVER
        times = [packets[0][0] for packets in (self._fifo, self._heap) if packets]
        if self._bucket:
            times.append(self._bucket.next)
        return min(times, default=NEVER)

    def arrive(self, now: int, packet_id: int, length: int, payload: bytes, out: list[bytes]) -> bool:
        """Take a packet; False where the caller must drop it.

        Args:
            now: when it came, ns of a monotonic clock.
            packet_id: its id in the queue.
            length: bytes from the network header on.
            payload: the whole packet where needs_payload, its beginning where needs_header, else empty.
            out: takes the verdicts of packets that were due before it came and so make room for it.
        """
        if self._chancy:
            if self._arrive_by_chance(now, packet_id, length, payload, out):
                return True
            self.counters[DROPPED] += 1
            return False
        if not self._has_room(now, out):
            self.counters[DROPPED] += 1
            return False
        if self._jitter or self._reorder:
            self._enqueue(now, packet_id, wire_bytes(length, self._mtu), b"", payload)
            return True
        # The rest is _enqueue without its calls, for speed.
        size = length + ETHERNET if length <= self._mtu else wire_bytes(length, self._mtu)
        due = ready = now + self._delay
        if self._rate:
            counted = counted_bytes(size, self._overhead, self._frame) if self._overhead else size
            sending = counted * SECOND // self._rate
            due = self._last = (ready if ready > self._last else self._last) + sending
            self._busy_until = (now if now > self._busy_until else self._busy_until) + sending
        fifo, header = self._fifo, payload and payload[:HEADER_BYTES]
        if not fifo or fifo[-1][0] <= due:
            fifo.append((due, packet_id, size, b"", ready, header))
        else:
            self._overtake((due, packet_id, size, b"", ready, header))
        self.backlog_bytes += size
        return True

    def _has_room(self, now: int, out: list[bytes]) -> bool:
        """Whether a packet that came then found room: too long a wait for the rate, or too many packets, leave none.

        Packets that were due by then, but are still here because the caller looks late, leave first.
        """
        if self._busy_until - now > self._longest_wait:
            return False
        if len(self._fifo) + len(self._heap) < self._limit:
            return True
        if self.next > now:
            return False
        self.release(now, out)
        return len(self._fifo) + len(self._heap) < self._limit

    def _arrive_by_chance(self, now: int, packet_id: int, length: int, payload: bytes, out: list[bytes]) -> bool:
        chance, changed = self._chance, b""
        twice, lost = chance.repeats(), chance.loses()
        if lost and not twice:
            return False
        if twice and not lost and payload and self._has_room(now, out):
            self._copies_made += 1
            self._enqueue(now, -self._copies_made, wire_bytes(length, self._mtu), payload, payload)
        if payload and chance.hits() and not (changed := chance.flip(payload)):
            return False
        if not self._has_room(now, out):
            return False
        self._enqueue(now, packet_id, wire_bytes(length, self._mtu), changed, payload)
        return True

    def _enqueue(self, now: int, number: int, size: int, payload: bytes, own: bytes) -> None:
        self.backlog_bytes += size
        header = own[:HEADER_BYTES]
        if self._reorder and self._chance.skips_delay():
            self._overtake((now, number, size, payload, now, header))
            return
        due = ready = now + self._delay
        if self._jitter:
            due = ready = max(now, ready + self._chance.deviation())
        if self._in_order:
            due = self._last = max(ready, self._last)
        if self._rate:
            sending = counted_bytes(size, self._overhead, self._frame) * SECOND // self._rate
            due = self._last = max(ready, self._last) + sending
            self._busy_until = max(now, self._busy_until) + sending
        self._queue((due, number, size, payload, ready, header))

    def release(self, until: int, out: list[bytes]) -> None:
        """Let go of packets that are due by then: verdicts to ``out`` and copies to ``copies``, or all to ``flow``."""
        if self._bucket is not None:
            self._release_through(self._bucket, until, out)
            return
        fifo, packets, total, last = self._fifo, 0, 0, 0
        if self._heap:
            while (packet := self._pop(until)) is not None:
                packets += 1
                total += packet[2]
                self._leave(packet, out)
        elif (flow := self.flow) is not None:
            entering = flow.entering
            while fifo and fifo[0][0] <= until:
                packet = fifo.popleft()
                packets += 1
                total += packet[2]
                entering.append((packet[0], flow, packet))
        else:
            while fifo and fifo[0][0] <= until:
                packet = fifo.popleft()
                packets += 1
                total += packet[2]
                if packet[3]:
                    if last:
                        out.append(accept_until(self.queue, last))
                        last = 0
                    self.let_go(packet, out)
                else:
                    last = packet[1]
            if last:
                out.append(accept_until(self.queue, last))
        if packets:
            self._count(packets, total)

    def _release_through(self, bucket: PacedQueue, until: int, out: list[bytes]) -> None:
        """As release, behind a token bucket or a trace; consecutive packets share a verdict."""
        last = packets = total = 0
        while True:
            entering = self._pop(until)
            now = until if entering is None else entering[0]
            while bucket.next <= now:
                packet, dropped = bucket.give()
                packets += 1
                total += packet[2]
                if self.flow is None and packet[1] > self.unordered and not packet[3]:
                    last = packet[1]
                else:
                    last = self._accept(last, out)
                    self._leave(packet, out)
                if dropped:
                    last = self._accept(last, out)
                    self._drop(dropped, out)
            if entering is None:
                break
            if dropped := bucket.take(entering):
                last = self._accept(last, out)
                self._drop(dropped, out)
        self._accept(last, out)
        if packets:
            self._count(packets, total)

    def _accept(self, until: int, out: list[bytes]) -> int:
        """Let all packets up to an id go, none for 0; returns 0."""
        if until:
            out.append(accept_until(self.queue, until))
        return 0

    def _drop(self, packets: Sequence[Packet], out: list[bytes]) -> None:
        for packet in packets:
            self.backlog_bytes -= packet[2]
            self.counters[DROPPED] += 1
            if packet[1] > 0:
                out.append(verdict(self.queue, packet[1], False))

    def _leave(self, packet: Packet, out: list[bytes]) -> None:
        if self.flow is None:
            self.let_go(packet, out)
        else:
            self.flow.entering.append((packet[0], self.flow, packet))

    def let_go(self, packet: Packet, out: list[bytes]) -> None:
        """Append the packet's verdict to ``out``, or, for a copy, its payload to ``copies``."""
        _, number, _, payload, *_ = packet
        if number < 0:
            self.copies.append(payload)
        elif payload is MARKED:
            out.append(accept_marked(self.queue, number))
        elif payload:
            out.append(accept_changed(self.queue, number, payload))
        else:
            out.append(verdict(self.queue, number, True))

    def _count(self, packets: int, size: int) -> None:
        self.counters[SENT_PACKETS] += packets
        self.counters[SENT_BYTES] += size
        self.backlog_bytes -= size
