"""Capacity that several edges share: a node's uplink and downlink, and the trunk between two regions.

A node's share of a CPU stands beside them, for it is the node's too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from harness.errors import ShapeError
from harness.model.address import FRAME
from harness.model.cpu import CpuShare
from harness.model.link import MAX_OVERHEAD, MIN_OVERHEAD, Pair
from harness.model.queueing import (
    Buffer,
    Queue,
    buffer_bytes,
    buffer_from_json,
    buffer_to_json,
)
from harness.model.units import Rate, Time

DROPTAIL: Final = Queue()
DEFAULT_BUFFER: Final = Time(100 * 10**6)
"""What waits in front of a shared capacity unless its buffer is given."""
MIN_FRAMES: Final = 32
"""Full frames that may wait there at any rate, unless the buffer is given."""


@dataclass(frozen=True)
class Capacity:
    """A rate that several edges share, and what waits for it.

    Between the flows of different neighbours (of a trunk: pairs of nodes) it is shared fairly; each has a queue of its
    own with the discipline and an equal part of the buffer, but no less than MIN_FRAMES full frames.

    Args:
        rate: on the wire, frame headers and ``overhead`` included.
        queue: what is done to packets that wait.
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
        """How many bytes may wait of one of so many flows."""
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
    """What limits all of a node's edges together, and its programs.

    Args:
        uplink: of what it sends, to whomever, what it forwards for others included; None: nothing limits it.
        downlink: of what it receives, likewise.
        cpu: the share of a CPU that its programs get together; None: nothing limits them.
    """

    uplink: Capacity | None = None
    downlink: Capacity | None = None
    cpu: CpuShare | None = None

    @property
    def present(self) -> dict[str, Capacity]:
        """The capacities that there are, by name."""
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
    """The path from one region to another, which all edges between them share; one direction.

    Args:
        src: the region that sends.
        dst: the region that receives.
        capacity: what they share.
        edges: the directed edges, sorted.
    """

    src: str
    dst: str
    capacity: Capacity
    edges: tuple[Pair, ...] = ()

    @property
    def name(self) -> str:
        """As people see it: ``eu->us``."""
        return f"{self.src}->{self.dst}"
