"""The table of CPU shares in ``harness node show``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.cli.output import note, show, table
from harness.model.cpu import CpuShare
from harness.model.format import format_limit, format_time
from harness.model.status import CpuStatus, NodeStatus
from harness.model.table import Styled


@dataclass(frozen=True)
class HeldCpu:
    """A node's share of a CPU, as requested and as applied.

    Args:
        rank: of the node.
        requested: None: no limit.
        status: what the kernel reports; None: nothing.
        mismatch: how these differ, or None.
    """

    rank: int
    requested: CpuShare | None
    status: CpuStatus | None
    mismatch: str | None

    @classmethod
    def of(cls, rank: int, requested: CpuShare | None, node: NodeStatus) -> HeldCpu:
        """Compare what is requested with what the node reports."""
        wrong = dict(node.cap_mismatches).get("cpu")
        if requested and not node.cpu:
            wrong = "no limit is reported"
        return cls(rank, requested, node.cpu, wrong)

    @property
    def is_limit(self) -> bool:
        """Whether there is one, or should be."""
        return self.requested is not None or (self.status is not None and self.status.applied is not None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, like an uplink's; shares in cores."""
        status = self.status
        return {
            "rank": self.rank,
            "limit": "cpu",
            "requested": self.requested and self.requested.to_json(),
            "applied": status and status.applied and status.applied.to_json(),
            "stats": status and {"throttled_s": status.throttled_s},
            "mismatch": self.mismatch,
        }


def show_cpus(title: str, held: Sequence[HeldCpu]) -> None:
    """Print what is requested, applied and throttled; and a note for each mismatch."""
    made = table(title, "node>", "requested>", "applied>", "throttled>")
    for one in held:
        applied = format_limit(one.status.applied if one.status else None)
        made.add_row(
            str(one.rank),
            format_limit(one.requested),
            Styled(f"{applied} (differs)", "red") if one.mismatch else applied,
            format_time(one.status.throttled_s) if one.status else "",
        )
    show(made)
    for one in held:
        if one.mismatch:
            note(f"node {one.rank} CPU: applied differs from requested: {one.mismatch}")
