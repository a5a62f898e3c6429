"""Queue disciplines by name."""

from __future__ import annotations

from harness.model.queueing import Queue
from harness.shaping.userspace.disciplines.codel import Codel
from harness.shaping.userspace.disciplines.discipline import Discipline
from harness.shaping.userspace.disciplines.droptail import Droptail
from harness.shaping.userspace.disciplines.fq_codel import FqCodel
from harness.shaping.userspace.disciplines.pie import Pie
from harness.shaping.userspace.disciplines.red import Red


def make_discipline(queue: Queue, limit_bytes: int, rate_byte_s: int, seed: int) -> Discipline:
    """An empty queue.

    Args:
        queue: the discipline and its parameters.
        limit_bytes: how much may wait.
        rate_byte_s: at which packets leave.
        seed: of its random numbers.
    """
    match queue.kind:
        case "droptail":
            return Droptail(limit_bytes)
        case "codel":
            return Codel(queue, limit_bytes)
        case "fq_codel":
            return FqCodel(queue, limit_bytes, seed)
        case "red":
            return Red(queue, limit_bytes, rate_byte_s, seed)
        case "pie":
            return Pie(queue, limit_bytes, seed)


def looks_at_headers(queue: Queue) -> bool:
    """Whether the discipline needs headers: to tell flows apart, or to mark congestion."""
    return queue.kind == "fq_codel" or queue.ecn


def changed_discipline(
    old: Discipline, was: Queue, queue: Queue, limit_bytes: int, rate_byte_s: int, seed: int
) -> Discipline:
    """The queue with new parameters, or a new one of another discipline with the packets of the old one.

    Args:
        old: the present queue.
        was: its discipline and parameters.
        queue: the new ones; for the rest see make_discipline.
        limit_bytes: more may wait already.
        rate_byte_s: at which packets leave.
        seed: of random numbers.
    """
    if was.kind == queue.kind:
        old.configure(queue, limit_bytes, rate_byte_s)
        return old
    made = make_discipline(queue, limit_bytes, rate_byte_s, seed)
    made.adopt(old.leave())
    return made
