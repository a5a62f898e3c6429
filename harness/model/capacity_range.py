"""Ranges from which a capacity is drawn: in a profile, and for nodes and trunks in a topology file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness.model.capacity import DROPTAIL, Capacity
from harness.model.format import format_range
from harness.model.queueing import Queue, buffer_to_json
from harness.model.range import Range
from harness.model.units import Rate, Size, Time

BufferRange = Range[Time] | Range[Size]


@dataclass(frozen=True)
class CapacityRange:
    """Ranges of a `Capacity`. None: the profile's value, else the default. Raises ShapeError for impossible values."""

    rate: Range[Rate]
    queue: Queue | None = None
    buffer: BufferRange | None = None
    overhead: int | None = None

    def __post_init__(self) -> None:
        self.at(lambda _: 0.0)
        self.at(lambda _: 1.0)

    def or_else(self, queue: Queue | None, buffer: BufferRange | None, overhead: int) -> CapacityRange:
        """A copy with these values in place of None."""
        return replace(
            self,
            queue=self.queue or queue,
            buffer=self.buffer or buffer,
            overhead=overhead if self.overhead is None else self.overhead,
        )

    def at(self, quantile: Callable[[str], float]) -> Capacity:
        """The capacity with the rate at ``quantile("")`` of its range and the buffer at ``quantile(".buffer")``."""
        buffer = None if self.buffer is None else self.buffer.at(quantile(".buffer"))
        return Capacity(self.rate.at(quantile("")), self.queue or DROPTAIL, buffer, self.overhead or 0)

    def describe(self) -> str:
        """For people: ``10 – 40 Mbit/s, queue codel, buffer 100 ms``."""
        words = [format_range(self.rate.low, self.rate.high)]
        words += [f"queue {self.queue}"] if self.queue else []
        words += [f"buffer {format_range(self.buffer.low, self.buffer.high)}"] if self.buffer else []
        words += [f"overhead {self.overhead}"] if self.overhead else []
        return ", ".join(words)

    def to_json(self) -> dict[str, Any]:
        """Ranges as ``[low, high]`` in SI units, or None."""
        return {
            "rate_bit_s": self.rate.to_json(),
            "queue": self.queue and self.queue.to_json(),
            "buffer": buffers_to_json(self.buffer),
            "overhead_bytes": self.overhead,
        }


def buffers_to_json(buffer: BufferRange | None) -> list[dict[str, float]] | None:
    """The ends of a range of buffers: ``[{"bytes": 65536}, {"bytes": 131072}]``."""
    return None if buffer is None else [buffer_to_json(buffer.low), buffer_to_json(buffer.high)]
