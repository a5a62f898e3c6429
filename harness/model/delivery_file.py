"""Mahimahi's format of packet-delivery traces: a whole number of milliseconds per line, ascending."""

from __future__ import annotations

import re
from typing import Final

from harness.errors import InputError, quoted

LONGEST_MS: Final = 3_600_000
MOST_PER_MS: Final = 255
"""More than 3 Gbit/s; a count is one byte."""
_NUMBER: Final = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", re.IGNORECASE)


def is_delivery(text: str) -> bool:
    """Whether a file's text is such a trace, and not a CSV file: its first line is a number alone."""
    lines = (line.strip() for line in text[:4096].splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return _NUMBER.fullmatch(first) is not None


def read_counts(place: str, text: str) -> bytes:
    """The opportunities of each millisecond: at index i those at i + 1 ms. Raises InputError; ``place`` is for that.

    Opportunities at 0 ms count at the trace's end: it repeats, and at its first beginning no packet waits yet.
    """
    counts, at_zero, last = bytearray(), 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.isdecimal() or not line.isascii():
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if not line.isdecimal() or not line.isascii():
                raise InputError(f"{place}:{number}: {_fault(line)}")
        at = int(line[:20])
        if at < last:
            raise InputError(f"{place}:{number}: {at} ms is before the line ahead of it ({last} ms)")
        if at > LONGEST_MS:
            raise InputError(
                f"{place}:{number}: {quoted(line)} ms is later than an hour, the longest trace; are these microseconds?"
            )
        last = at
        if not at:
            at_zero += 1
            continue
        if at > len(counts):
            counts.extend(bytes(at - len(counts)))
        if counts[-1] == MOST_PER_MS:
            raise InputError(f"{place}:{number}: over {MOST_PER_MS} packets at {at} ms, which is over 3 Gbit/s")
        counts[-1] += 1
    if not counts:
        raise InputError(f"{place}: {'all packets are at 0 ms: it lasts no time' if at_zero else 'it is empty'}")
    if counts[-1] + at_zero > MOST_PER_MS:
        raise InputError(f"{place}: over {MOST_PER_MS} packets at 0 ms and at the end, which is over 3 Gbit/s")
    counts[-1] += at_zero
    return bytes(counts)


def _fault(line: str) -> str:
    if line.startswith("-") and _NUMBER.fullmatch(line):
        return f"{quoted(line)} is negative"
    if _NUMBER.fullmatch(line):
        return f"{quoted(line)} is not a whole number of milliseconds; are these seconds?"
    return f"{quoted(line)} is not a number of milliseconds"


def delivery_text(counts: bytes) -> str:
    """The text of a file with these opportunities."""
    return "".join(f"{index}\n" * count for index, count in enumerate(counts, 1))
