"""The status read back from a node: the shapes that its engine reports, and counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from harness.model.capacity import Capacity
from harness.model.cpu import CpuShare
from harness.model.link import LinkShape, Pair


@dataclass(frozen=True)
class Stats:
    """Counters of a directed edge, or of a shared capacity. ``dropped`` counts random loss and overflow alike."""

    sent_packets: int = 0
    sent_bytes: int = 0
    dropped: int = 0
    backlog_bytes: int = 0
    backlog_packets: int = 0


@dataclass(frozen=True)
class TcpCounters:
    """Counters of all TCP connections of a node's own, without those that it relays (RFC 2012, tcpOutSegs)."""

    sent_segments: int = 0
    retransmitted_segments: int = 0


@dataclass(frozen=True)
class EdgeStatus:
    """The status of a directed edge."""

    applied: LinkShape
    stats: Stats

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in SI units."""
        return {"applied": self.applied.to_json(), "stats": vars(self.stats)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        return cls(LinkShape.from_json(data["applied"], checked=False), Stats(**data["stats"]))


@dataclass(frozen=True)
class CapStatus:
    """The status of a shared capacity at a node or at the network's bridge. ``applied``: the limit; None: no limit."""

    applied: Capacity | None
    stats: Stats = Stats()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in SI units."""
        return {"applied": self.applied and self.applied.to_json(), "stats": vars(self.stats)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        return cls(data["applied"] and Capacity.from_json(data["applied"]), Stats(**data["stats"]))


@dataclass(frozen=True)
class CpuStatus:
    """The status of a node's share of a CPU.

    Args:
        applied: the share; None: no limit.
        throttled_s: seconds for which the kernel has kept its programs from running, summed over CPUs.
    """

    applied: CpuShare | None
    throttled_s: float = 0.0

    def differs(self, requested: CpuShare | None) -> str | None:
        """The difference from what was requested, or None."""
        words = ["no limit" if share is None else str(share) for share in (self.applied, requested)]
        return None if self.applied == requested else f"{words[0]} for {words[1]}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; shares in cores."""
        return {"applied": self.applied and self.applied.to_json(), "throttled_s": self.throttled_s}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        return cls(None if data["applied"] is None else CpuShare.from_json(data["applied"]), data["throttled_s"])


@dataclass(frozen=True)
class NodeStatus:
    """The status of a node.

    Args:
        edges: the directed edges that it enforces.
        mismatches: an edge and the difference, where applied and requested differ.
        notes: on the engine at this node, for users, e.g. that its process was restarted.
        tcp: its TCP counters.
        caps: the shared capacities that it enforces: ``uplink``, ``downlink``, ``trunk eu->us``.
        cap_mismatches: name (of a capacity, or ``cpu``) and difference, where applied and requested differ.
        cpu: its share of a CPU; None: the kernel has no cgroup for it.
    """

    edges: Mapping[Pair, EdgeStatus]
    mismatches: tuple[tuple[Pair, str], ...] = ()
    notes: tuple[str, ...] = ()
    tcp: TcpCounters = TcpCounters()
    caps: Mapping[str, CapStatus] = field(default_factory=dict)
    cap_mismatches: tuple[tuple[str, str], ...] = ()
    cpu: CpuStatus | None = None

    def with_cpu(self, status: CpuStatus, requested: CpuShare | None) -> Self:
        """A copy with the status of its share of a CPU, and a mismatch where it is not as requested."""
        wrong = status.differs(requested)
        mismatches = (*self.cap_mismatches, *([("cpu", wrong)] if wrong else []))
        return replace(self, cpu=status, cap_mismatches=mismatches)

    def with_cap(self, name: str, status: CapStatus, wrong: Iterable[str] = ()) -> Self:
        """A copy with one more shared capacity, and its mismatches."""
        mismatches = (*self.cap_mismatches, *((name, what) for what in wrong))
        return replace(self, caps={**self.caps, name: status}, cap_mismatches=mismatches)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; from_json reads it back."""
        return {
            "edges": [{"src": src, "dst": dst, **edge.to_json()} for (src, dst), edge in self.edges.items()],
            "mismatches": [[*pair, what] for pair, what in self.mismatches],
            "notes": list(self.notes),
            "tcp": vars(self.tcp),
            "caps": {name: cap.to_json() for name, cap in self.caps.items()},
            "cap_mismatches": [list(mismatch) for mismatch in self.cap_mismatches],
            "cpu": self.cpu and self.cpu.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        return cls(
            {(edge["src"], edge["dst"]): EdgeStatus.from_json(edge) for edge in data["edges"]},
            tuple(((src, dst), what) for src, dst, what in data["mismatches"]),
            tuple(data["notes"]),
            TcpCounters(**data["tcp"]),
            {name: CapStatus.from_json(cap) for name, cap in data.get("caps", {}).items()},
            tuple((name, what) for name, what in data.get("cap_mismatches", ())),
            data.get("cpu") and CpuStatus.from_json(data["cpu"]),
        )
