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
        queue: which one, with its parameters.
        limit_bytes: how much may wait in it.
        rate_byte_s: at which it is emptied, byte/s.
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
    """Whether packets must come with their headers: to tell flows apart, or to mark."""
    return queue.kind == "fq_codel" or queue.ecn


def changed_discipline(
    old: Discipline, was: Queue, queue: Queue, limit_bytes: int, rate_byte_s: int, seed: int
) -> Discipline:
    """The queue with other parameters, or of another discipline; what waits in the old one waits in it.

    Args:
        old: the queue as it is.
        was: what that was made or changed for.
        queue: see make_discipline, as the others.
        limit_bytes: of what comes from now on; more may wait now.
        rate_byte_s: byte/s.
        seed: of random numbers.
    """
    if was.kind == queue.kind:
        old.configure(queue, limit_bytes, rate_byte_s)
        return old
    made = make_discipline(queue, limit_bytes, rate_byte_s, seed)
    made.adopt(old.leave())
    return made
