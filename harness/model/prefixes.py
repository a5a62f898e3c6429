"""The fewest CIDR prefixes (RFC 4632) that cover given addresses and no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def spans(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of every run of consecutive numbers, which must be given in ascending order."""
    first = last = None
    for number in numbers:
        if last is not None and first is not None and number != last + 1:
            yield first, last
            first = None
        first, last = number if first is None else first, number
    if first is not None and last is not None:
        yield first, last


def cover(numbers: Iterable[int], bits: int) -> Iterator[tuple[int, int]]:
    """(network, length) of every prefix, ascending.

    No prefix spans two runs, so the fewest for each run are the fewest for all.

    Args:
        numbers: addresses as integers, in ascending order, each once.
        bits: of an address: 32 or 128.
    """
    for start, last in spans(numbers):
        while start <= last:
            left = (last - start + 1).bit_length() - 1
            host = min(left, (start & -start).bit_length() - 1) if start else left
            yield start, bits - host
            start += 1 << host
