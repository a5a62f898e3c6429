"""Capacity that several edges share: a node's uplink and downlink, and the trunk between two regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from harness.errors import ShapeError
from harness.model.address import FRAME
from harness.model.cpu import CpuShare
from harness.model.link import MAX_OVERHEAD, MIN_OVERHEAD, Pair
from harness.model.queueing import Buffer, Queue, buffer_bytes, buffer_from_json, buffer_to_json
from harness.model.units import Rate, Time

DROPTAIL: Final = Queue()
DEFAULT_BUFFER: Final = Time(100 * 10**6)
"""The default buffer, in time at the rate."""
MIN_FRAMES: Final = 32
"""Full frames that fit the default buffer at any rate."""


@dataclass(frozen=True)
class Capacity:
    """A rate that several edges share, and the queue in front of it.

    The traffic of different neighbours (on a trunk: of different pairs of nodes) shares it fairly. Each has a queue of
    its own, with this discipline and an equal part of the buffer, but at least MIN_FRAMES full frames.

    Args:
        rate: on the wire, frame headers and ``overhead`` included.
        queue: the discipline of each queue.
        buffer: how much may wait in all; None: DEFAULT_BUFFER.
        overhead: bytes that the rate counts beside a frame's own, e.g. 24 for Ethernet's preamble, checksum and gap.
    """

    rate: Rate
    queue: Queue = DROPTAIL
    buffer: Buffer | None = None
    overhead: int = 0

    def __post_init__(self) -> None:
        if not MIN_OVERHEAD <= self.overhead <= MAX_OVERHEAD:
            raise ShapeError(f"overhead {self.overhead} is not between {MIN_OVERHEAD} and {MAX_OVERHEAD} bytes")

    @property
    def buffer_bytes(self) -> int:
        """How many bytes may wait in all."""
        if self.buffer is not None:
            return max(buffer_bytes(self.buffer, self.rate), FRAME)
        return max(buffer_bytes(DEFAULT_BUFFER, self.rate), MIN_FRAMES * FRAME)

    def flow_bytes(self, flows: int) -> int:
        """How many bytes may wait of one of that many flows."""
        return max(self.buffer_bytes // max(1, flows), min(self.buffer_bytes, MIN_FRAMES * FRAME))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON in SI units."""
        return {
            "rate_bit_s": self.rate.bit_s,
            "queue": self.queue.to_json(),
            "buffer": None if self.buffer is None else buffer_to_json(self.buffer),
            "overhead_bytes": self.overhead,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        buffer = None if data["buffer"] is None else buffer_from_json(data["buffer"])
        return cls(Rate(data["rate_bit_s"]), Queue.from_json(data["queue"]), buffer, data["overhead_bytes"])

    def describe(self) -> str:
        """In tc's words, e.g. ``20Mbit queue codel buffer 100ms overhead 24``."""
        words = [str(self.rate)]
        words += [f"queue {self.queue}"] if self.queue != DROPTAIL else []
        words += [f"buffer {self.buffer}"] if self.buffer is not None else []
        words += [f"overhead {self.overhead}"] if self.overhead else []
        return " ".join(words)


@dataclass(frozen=True)
class NodeShape:
    """The limits of a node. None: no limit.

    Args:
        uplink: of all that it sends, forwarded packets included.
        downlink: of all that it receives, forwarded packets included.
        cpu: the share of a CPU that its programs get together.
    """

    uplink: Capacity | None = None
    downlink: Capacity | None = None
    cpu: CpuShare | None = None

    @property
    def present(self) -> dict[str, Capacity]:
        """Uplink and downlink by name, where they are limited."""
        sides = {"uplink": self.uplink, "downlink": self.downlink}
        return {name: value for name, value in sides.items() if value is not None}

    def changed(self, limits: Mapping[str, Capacity | CpuShare | None]) -> Self:
        """A copy with these limits, by name."""
        return type(self)(**{**vars(self), **limits})

    def to_json(self) -> dict[str, Any]:
        """Plain JSON in SI units; ``cpu`` in cores."""
        return {
            "uplink": self.uplink and self.uplink.to_json(),
            "downlink": self.downlink and self.downlink.to_json(),
            "cpu": self.cpu and self.cpu.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        uplink, downlink = (data[name] and Capacity.from_json(data[name]) for name in ("uplink", "downlink"))
        cores = data.get("cpu")
        return cls(uplink, downlink, None if cores is None else CpuShare.from_json(cores))


NO_CAPS: Final = NodeShape()


@dataclass(frozen=True)
class Trunk:
    """The path from region ``src`` to region ``dst``, whose capacity the directed edges between them share."""

    src: str
    dst: str
    capacity: Capacity
    edges: tuple[Pair, ...] = ()

    @property
    def name(self) -> str:
        """For people: ``eu->us``."""
        return f"{self.src}->{self.dst}"
