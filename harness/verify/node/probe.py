"""The probe: measures links from inside a node. It reads requests as JSON lines from standard input, until its end.

    python -m harness.verify.node.probe

Every line is one request, ``{"op": ..., ...}``, and the probe answers with one line: ``{"ok": true, ...}`` or
``{"error": "..."}``. Every request says how long it may take. Times are in nanoseconds, sizes in bytes.

    open     bind, frame                          -> port, bulk_port
    echo     peer, port, job, count, interval_ns,
             wait_ns, end_ns                      -> sent, warm, late, local,
                                                     samples [[sequence, sent, turned, returned, arrived]]
    train    peer, port, job, count, interval_ns, end_ns            -> sent
    bulk     peer, port, job, bursts, segments, interval_ns, end_ns
                                                  -> wire_bytes, elapsed_ns, segments
    load     flows [[peer, port, job, interval_ns]],
             segments, length_ns                  -> wire_bytes [of each flow], elapsed_ns, late
    collect  job, expect, wait_ns                 -> received, duplicates, overtakers
    sample   one_in                               ->
    bulked   job, expect_bytes, wait_ns, kernel   -> points, ends, wire_bytes, reads, waits

It imports little, to start in some tens of milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from heapq import heapify, heapreplace
from time import monotonic_ns, sleep
from typing import Any, Final

from harness.verify.node.packet import ECHO, TRAIN, burst, small
from harness.verify.node.receiver import RECEIVE_BUFFER, Receiver

ProbeAnswer = dict[str, Any]
POLL_S: Final = 0.002
MOST_WAIT_NS: Final = 10 * 10**9
MAX_POINTS: Final = 400
WARM_UP_NS: Final = 5 * 10**9
"""How long to wait for a first answer: address resolution sends one packet a second, and a lossy link may lose it."""
_LOCAL_JOB: Final = (1 << 32) - 1
"""The job of a probe's packets to itself; job 0 is the warm-up."""
_UDP_SEGMENT: Final = 103
"""linux/udp.h; Python has no name for it."""
_UDP, _SOCKET, _SNDBUF, _SNDBUFFORCE = 17, 1, 7, 32


class Probe:
    """The requests that a probe answers: one public method each."""

    def __init__(self) -> None:
        self._small: Receiver | None = None
        self._bulk: Receiver | None = None

    def open(self, bind: str, frame: int) -> ProbeAnswer:
        """Listen on an address: one port for small packets, one for bulk, in frames of ``frame`` bytes."""
        self._small, self._bulk = Receiver(bind, frame), Receiver(bind, frame, bulk=True)
        for receiver in (self._small, self._bulk):
            for option in (_SNDBUF, _SNDBUFFORCE):
                with contextlib.suppress(OSError):
                    receiver.socket.setsockopt(_SOCKET, option, RECEIVE_BUFFER)
            receiver.start()
        return {"port": self._small.port, "bulk_port": self._bulk.port}

    def echo(
        self, peer: str, port: int, job: int, count: int, interval_ns: int, wait_ns: int, end_ns: int
    ) -> ProbeAnswer:
        """Send packets that the peer sends back at once, and wait for the last.

        A few packets warm the path up, because address resolution delays the first packet between two nodes.
        """
        receiver = self._require(self._small)
        target, write = (peer, port), receiver.socket.sendto
        warm, attempt, give_up = False, 0, monotonic_ns() + WARM_UP_NS
        while not warm and (attempt < 2 or monotonic_ns() < give_up):
            write(small(ECHO, 0, attempt, monotonic_ns()), target)
            warm = _until(lambda: bool(receiver.flow(0).first), wait_ns)
            attempt += 1
        receiver.forget(0)
        local = self._to_itself(receiver, count=20)
        late: list[int] = []
        sent = _paced(count, interval_ns, end_ns, lambda i: write(small(ECHO, job, i, monotonic_ns()), target), late)
        flow = receiver.flow(job)
        _until(lambda: len(flow.first) >= sent, wait_ns, lambda: len(flow.first))
        samples = [[sequence, *stamps] for sequence, stamps in sorted(flow.first.copy().items())]
        receiver.forget(job)
        return {"sent": sent, "warm": warm, "late": late, "local": local, "samples": samples}

    @staticmethod
    def _to_itself(receiver: Receiver, count: int) -> list[int]:
        """One-way delays over the loopback: the time to send a packet and to wake the reader."""
        target, write = receiver.socket.getsockname(), receiver.socket.sendto
        with contextlib.suppress(OSError):
            _paced(count, 10**6, 10**9, lambda i: write(small(TRAIN, _LOCAL_JOB, i, monotonic_ns()), target))
        flow = receiver.flow(_LOCAL_JOB)
        _until(lambda: len(flow.first) >= count, 10**8)
        receiver.forget(_LOCAL_JOB)
        return [arrived - sent for sent, *_, arrived in flow.first.copy().values()]

    def train(self, peer: str, port: int, job: int, count: int, interval_ns: int, end_ns: int) -> ProbeAnswer:
        """Send small packets, evenly spaced; late ones at twice the pace, not at once: a burst could fill the queue."""
        target, write = (peer, port), self._require(self._small).socket.sendto

        def send(index: int) -> None:
            write(small(TRAIN, job, index, monotonic_ns()), target)

        return {"sent": _paced(count, interval_ns, end_ns, send, gap_ns=interval_ns // 2)}

    def bulk(
        self, peer: str, port: int, job: int, bursts: int, segments: int, interval_ns: int, end_ns: int
    ) -> ProbeAnswer:
        """Send bursts of full frames, evenly spaced, or without a pause.

        The kernel gets each burst as one super-packet (UDP_SEGMENT). Qdiscs count the bytes of all its frames, so the
        rate is right; but they drop whole bursts, so it does not measure loss.
        """
        receiver = self._require(self._bulk)
        target, write = (peer, port), receiver.socket.sendto
        if not self._segmenting(receiver, target):
            segments = 1
        framed, start = (receiver.frame, receiver.ipv6), monotonic_ns()
        sent = _paced(bursts, interval_ns, end_ns, lambda i: write(burst(job, i, segments, *framed), target))
        return {
            "wire_bytes": sent * segments * receiver.frame,
            "elapsed_ns": monotonic_ns() - start,
            "segments": segments,
        }

    def load(self, flows: list[tuple[str, int, int, int]], segments: int, length_ns: int) -> ProbeAnswer:
        """Send bursts of full frames to several peers for some time, each flow's evenly spaced; see bulk."""
        receiver = self._require(self._bulk)
        if not all(self._segmenting(receiver, (peer, port)) for peer, port, *_ in flows):
            segments = 1
        sent, late, framed, start = [0] * len(flows), list[int](), (receiver.frame, receiver.ipv6), monotonic_ns()
        due = [(start + interval_ns * number // len(flows), number) for number, (*_, interval_ns) in enumerate(flows)]
        heapify(due)
        while (now := monotonic_ns()) < start + length_ns and (at := due[0][0]) < start + length_ns:
            if at > now:
                sleep((at - now) / 1e9)
                late.append(monotonic_ns() - at)
            number = due[0][1]
            peer, port, job, interval_ns = flows[number]
            with contextlib.suppress(BlockingIOError):
                receiver.socket.sendto(burst(job, sent[number], segments, *framed), (peer, port))
            sent[number] += 1
            heapreplace(due, (at + interval_ns, number))
        return {
            "wire_bytes": [bursts * segments * receiver.frame for bursts in sent],
            "elapsed_ns": monotonic_ns() - start,
            "late": late[:: max(1, len(late) // MAX_POINTS)],
        }

    @staticmethod
    def _segmenting(receiver: Receiver, target: tuple[str, int]) -> bool:
        """Enable segmentation by the kernel and try it: sending fails where the interface computes no checksums."""
        try:
            receiver.socket.setsockopt(_UDP, _UDP_SEGMENT, len(burst(0, 0, 1, receiver.frame, receiver.ipv6)))
            receiver.socket.sendto(burst(0, 0, 2, receiver.frame, receiver.ipv6), target)
        except OSError:
            with contextlib.suppress(OSError):
                receiver.socket.setsockopt(_UDP, _UDP_SEGMENT, 0)
            return False
        return True

    def collect(self, job: int, expect: int, wait_ns: int) -> ProbeAnswer:
        """Count the packets of a train when all have arrived or the time is up."""
        receiver = self._require(self._small)
        flow = receiver.flow(job)
        _until(lambda: len(flow.first) >= expect, wait_ns, lambda: len(flow.first))
        answer = receiver.flow_answer(job)
        receiver.forget(job)
        return answer

    def sample(self, one_in: int) -> ProbeAnswer:
        """Read only one packet in ``one_in`` (a power of two) of later bulk trains, and count the others."""
        self._require(self._bulk).sample(one_in)
        return {}

    def bulked(self, job: int, expect_bytes: int, wait_ns: int, kernel: bool) -> ProbeAnswer:
        """What arrived of a bulk train when all has or the time is up, with the kernel's or the reader's timestamps."""
        receiver = self._require(self._bulk)
        bulk = receiver.bulk(job)
        _until(lambda: receiver.arrived(job) >= expect_bytes, wait_ns, lambda: bulk.reads)
        arrived = receiver.arrived(job)
        receiver.forget(job)
        points = bulk.stamped if kernel else bulk.waited
        return {
            "points": points[:: max(1, len(points) // MAX_POINTS)],
            "ends": bulk.ends,
            "wire_bytes": arrived,
            "reads": bulk.reads,
            "waits": len(bulk.waited),
        }

    @staticmethod
    def _require(receiver: Receiver | None) -> Receiver:
        if receiver is None:
            raise ValueError("the first request must be open")
        return receiver


def _until(done: Callable[[], bool], wait_ns: int, count: Callable[[], int] = lambda: 0) -> bool:
    """Poll until ``done()``; return whether it becomes true before the time is up.

    The time restarts while the count grows, for up to MOST_WAIT_NS: a slow reader still has packets to read.
    """
    seen, start = count(), monotonic_ns()
    end, last_end = start + wait_ns, start + wait_ns + MOST_WAIT_NS
    while not done():
        now = monotonic_ns()
        if now >= end:
            return False
        if count() != seen:
            seen, end = count(), min(now + wait_ns, last_end)
        sleep(POLL_S)
    return True


def _paced(
    count: int,
    interval_ns: int,
    end_ns: int,
    send: Callable[[int], object],
    late: list[int] | None = None,
    gap_ns: int = 0,
) -> int:
    """Call send(0), send(1), ... each when it is due; return how many before the time was up.

    Late ones follow each other by at least gap_ns. Appends to ``late`` by how many ns each sleep ended too late.
    """
    start = monotonic_ns()
    end, last = start + end_ns, start - gap_ns
    for index in range(count):
        due, now = max(start + index * interval_ns, last + gap_ns), monotonic_ns()
        if now >= end:
            return index
        if due > now:
            sleep((due - now) / 1e9)
            if late is not None:
                late.append(monotonic_ns() - due)
        last = monotonic_ns()
        with contextlib.suppress(BlockingIOError):
            send(index)
    return count


def _be_prompt() -> None:
    """Request exact timers (else a sleep may end 50 us late) and a high priority, where the kernel permits."""
    with contextlib.suppress(OSError), open("/proc/self/timerslack_ns", "w", encoding="ascii") as slack:
        slack.write("1")
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    sys.setswitchinterval(0.0005)


def main() -> None:
    """Answer requests until standard input ends."""
    _be_prompt()
    probe = Probe()
    for line in sys.stdin:
        try:
            request = json.loads(line)
            operation = request.pop("op")
            if operation not in ("open", "echo", "train", "bulk", "load", "collect", "sample", "bulked"):
                raise ValueError(f"unknown operation {operation!r}")
            answer = {"ok": True, **getattr(probe, operation)(**request)}
        except (OSError, ValueError, TypeError, KeyError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
