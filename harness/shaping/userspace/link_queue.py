"""One direction of one edge in user space: what netem and tbf do to packets, decided in Python.

Pure: the time is an argument, packets are numbers, and decisions come back as netlink verdicts. It follows
net/sched/sch_netem.c (6.18), so that the same `Branch` means the same link on both engines:

* a packet is lost, sent twice, corrupted, dropped at the tail, delayed or let past, in netem_enqueue's order;
* with a rate, a packet leaves at ``max(when the one before left, now + delay) + length / rate``, so that nothing
  overtakes; without one, jitter reorders, for every packet leaves at ``now + delay``;
* a token bucket (tbf) stands behind the delay where a burst was asked for.
"""

from __future__ import annotations

import heapq
from collections import deque
from random import Random
from typing import Final

from harness.model.address import ETHERNET, MTU
from harness.model.distribution import SCALE, table
from harness.shaping.qdisc import Branch
from harness.shaping.userspace.nfqueue import accept_changed, accept_until, verdict
from harness.shaping.userspace.packet import Packet, flipped, wire_bytes
from harness.shaping.userspace.token_bucket import SECOND, TokenBucket

NEVER: Final = 1 << 62
"""When a line that holds nothing has to be looked at again."""
SENT_PACKETS, SENT_BYTES, DROPPED = range(3)
COUNTERS: Final = 3
_WHOLE: Final = 0xFFFFFFFF

Counts = list[int] | memoryview
"""COUNTERS numbers."""


class LinkQueue:
    """Holds the packets of one queue.

    Args:
        queue: the number of its NFQUEUE.
        branch: what to do to packets.
        counters: COUNTERS numbers that are counted up: packets and bytes let go, and packets dropped.
    """

    def __init__(self, queue: int, branch: Branch, counters: Counts) -> None:
        self.queue, self.counters = queue, counters
        self.copies: list[bytes] = []
        """Payloads of copies whose time has come; the caller sends and removes them."""
        self.scheduled = NEVER
        """Kept by the caller: when it will look at this line again."""
        self.backlog_bytes = 0
        self._fifo: deque[Packet] = deque()
        self._heap: list[Packet] = []
        self._bucket: TokenBucket | None = None
        self._last = 0
        self._bad = False
        self._copies_made = 0
        self._random = Random(branch.netem.seed)
        self.configure(branch)

    def configure(self, branch: Branch) -> None:
        """Do this to packets that come from now on; what is held leaves when it was to leave."""
        netem = branch.netem
        if branch.netem.seed != getattr(self, "branch", branch).netem.seed:
            self._random = Random(netem.seed)
        self.branch = branch
        self._delay, self._jitter, self._limit, self._rate = (
            netem.delay_ns,
            netem.jitter_ns,
            netem.limit,
            netem.rate_byte_s,
        )
        self._loss, self._duplicate, self._corrupt, self._reorder = (
            share / _WHOLE for share in (netem.loss, netem.duplicate, netem.corrupt, netem.reorder if netem.gap else 0)
        )
        self._chain = tuple(share / _WHOLE for share in netem.chain) if netem.chain else None
        self._table = None if netem.distribution == "uniform" else table(netem.distribution)
        self._chancy = bool(self._loss or self._chain or self._duplicate or self._corrupt)
        if branch.tbf is not None:
            if self._bucket is None:
                self._bucket = TokenBucket(branch.tbf)
            self._bucket.spec = branch.tbf

    @property
    def needs_payload(self) -> bool:
        """Whether whole packets must be copied to us: to change or to repeat them."""
        return bool(self._corrupt or self._duplicate)

    @property
    def per_packet(self) -> bool:
        """Whether super-packets must be cut into packets first, so that chance meets each of those."""
        return bool(self._chancy or self._reorder)

    @property
    def held(self) -> int:
        """Packets that it holds."""
        return len(self._fifo) + len(self._heap) + (len(self._bucket.queue) if self._bucket else 0)

    @property
    def next(self) -> int:
        """When the next packet leaves, ns; NEVER where it holds none."""
        if not self._heap and self._bucket is None:
            return self._fifo[0][0] if self._fifo else NEVER
        times = [line[0][0] for line in (self._fifo, self._heap) if line]
        if self._bucket and self._bucket.queue:
            times.append(self._bucket.queue[0][0])
        return min(times, default=NEVER)

    def arrive(self, now: int, packet_id: int, length: int, payload: bytes, out: list[bytes]) -> bool:
        """Take a packet; False where it is to be dropped.

        Args:
            now: when it came, ns of a monotonic clock.
            packet_id: its id in the queue.
            length: bytes from the network header on.
            payload: the whole packet where needs_payload.
            out: where verdicts go of packets that were to leave before it came, and took room.
        """
        if self._chancy:
            return self._arrive_by_chance(now, packet_id, length, payload, out)
        if not self._has_room(now, out):
            self.counters[DROPPED] += 1
            return False
        if self._jitter or self._reorder:
            self._hold(now, packet_id, wire_bytes(length), b"")
            return True
        size = length + ETHERNET if length <= MTU else wire_bytes(length)  # _hold, without the calls: it is hot
        due = now + self._delay
        if self._rate:
            if due < self._last:
                due = self._last
            due = self._last = due + size * SECOND // self._rate
        fifo = self._fifo
        if not fifo or fifo[-1][0] <= due:
            fifo.append((due, packet_id, size, b""))
        else:
            heapq.heappush(self._heap, (due, packet_id, size, b""))
        self.backlog_bytes += size
        return True

    def _has_room(self, now: int, out: list[bytes]) -> bool:
        """Whether a packet that came then found less than the limit in the line.

        Whoever looks at lines late finds packets in them that were gone when this one came; they go first.
        """
        if len(self._fifo) + len(self._heap) < self._limit:
            return True
        if self.next > now:
            return False
        self.release(now, out)
        return len(self._fifo) + len(self._heap) < self._limit

    def _arrive_by_chance(self, now: int, packet_id: int, length: int, payload: bytes, out: list[bytes]) -> bool:
        chance, changed = self._random.random, b""
        twice = self._duplicate and chance() < self._duplicate
        lost = self._lost()
        if lost and not twice:
            self.counters[DROPPED] += 1
            return False
        if twice and not lost and payload and self._has_room(now, out):
            self._copies_made += 1
            self._hold(now, -self._copies_made, wire_bytes(length), payload)
        if self._corrupt and payload and chance() < self._corrupt:
            changed = flipped(payload, self._random)
            if not changed:
                self.counters[DROPPED] += 1
                return False
        if not self._has_room(now, out):
            self.counters[DROPPED] += 1
            return False
        self._hold(now, packet_id, wire_bytes(length), changed)
        return True

    def _lost(self) -> bool:
        """Netem's loss_event: by the chain of loss_gilb_ell, or independent."""
        chance = self._random.random
        if self._chain is None:
            return bool(self._loss) and chance() < self._loss
        to_bad, to_good, survive, lost_in_good = self._chain
        if not self._bad:
            self._bad = chance() < to_bad
            return chance() < lost_in_good
        self._bad = chance() >= to_good
        return chance() > survive

    def _hold(self, now: int, number: int, size: int, payload: bytes) -> None:
        if self._reorder and self._random.random() < self._reorder:
            heapq.heappush(self._heap, (now, number, size, payload))
            self.backlog_bytes += size
            return
        due = now + self._delay
        if self._jitter:
            due = max(now, due + self._deviation())
        if self._rate:
            due = self._last = max(due, self._last) + size * SECOND // self._rate
        fifo = self._fifo
        if number > 0 and (not fifo or fifo[-1][0] <= due):
            fifo.append((due, number, size, payload))
        else:
            heapq.heappush(self._heap, (due, number, size, payload))
        self.backlog_bytes += size

    def _deviation(self) -> int:
        """Netem's tabledist, less its mean."""
        draw = self._random.random()
        if self._table is None:
            return int((2 * draw - 1) * self._jitter)
        return self._jitter * self._table[int(draw * len(self._table))] // SCALE

    def release(self, until: int, out: list[bytes]) -> None:
        """Let go what leaves until then: append the verdicts to ``out`` and copies to ``copies``."""
        if self._bucket is not None:
            self._release_through(self._bucket, until, out)
            return
        fifo, packets, total, last = self._fifo, 0, 0, 0
        if self._heap:
            while (item := self._pop(until)) is not None:
                packets += 1
                total += item[2]
                self._let_go(item, out)
        else:
            while fifo and fifo[0][0] <= until:
                item = fifo.popleft()
                packets += 1
                total += item[2]
                if item[3]:
                    if last:
                        out.append(accept_until(self.queue, last))
                        last = 0
                    self._let_go(item, out)
                else:
                    last = item[1]
            if last:
                out.append(accept_until(self.queue, last))
        if packets:
            self._count(packets, total)

    def _pop(self, until: int) -> Packet | None:
        """The next packet that leaves until then, of both orders."""
        fifo, heap = self._fifo, self._heap
        if heap and (not fifo or heap[0] < fifo[0]):
            return heapq.heappop(heap) if heap[0][0] <= until else None
        return fifo.popleft() if fifo and fifo[0][0] <= until else None

    def _release_through(self, bucket: TokenBucket, until: int, out: list[bytes]) -> None:
        while (item := self._pop(until)) is not None:
            self._empty(bucket, item[0], out)
            if not bucket.take(item):
                self.backlog_bytes -= item[2]
                self.counters[DROPPED] += 1
                if item[1] > 0:
                    out.append(verdict(self.queue, item[1], False))
        self._empty(bucket, until, out)

    def _empty(self, bucket: TokenBucket, until: int, out: list[bytes]) -> None:
        while bucket.queue and bucket.queue[0][0] <= until:
            item = bucket.give()
            self._let_go(item, out)
            self._count(1, item[2])

    def _let_go(self, item: Packet, out: list[bytes]) -> None:
        _, number, _, payload = item
        if number < 0:
            self.copies.append(payload)
        else:
            out.append(accept_changed(self.queue, number, payload) if payload else verdict(self.queue, number, True))

    def _count(self, packets: int, size: int) -> None:
        self.counters[SENT_PACKETS] += packets
        self.counters[SENT_BYTES] += size
        self.backlog_bytes -= size
