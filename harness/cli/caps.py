"""The options of a capacity, and tables of capacities: for ``harness node`` and ``harness trunk``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from harness.cli.output import note, print_json, say, show, table
from harness.model.capacity import Capacity
from harness.model.capacity_edit import PARTS
from harness.model.cpu import CpuShare
from harness.model.format import format_distinct, format_limit, format_size, format_time
from harness.model.link import LINK_FIELDS
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus
from harness.model.table import Styled
from harness.networks.plan_change import PlanChange

if TYPE_CHECKING:
    from harness.networks.network import Network, Reshaped

PART_OPTIONS: Final = {
    name: (Annotated[str | None, typer.Option(help=LINK_FIELDS[name].help, metavar=metavar)], None)
    for name, metavar in zip(PARTS, ("DISCIPLINE", "TEXT", "BYTES"), strict=True)
}
"""The options of a capacity beside its rate, for options.in_place_of."""


@dataclass(frozen=True)
class HeldCap:
    """A capacity, as requested and as applied.

    Args:
        names: the table cells that name it.
        identity: the same for JSON.
        requested: None: no limit.
        status: what the node reports; None: nothing.
        mismatch: how these differ, or None.
    """

    names: Sequence[str]
    identity: Mapping[str, Any]
    requested: Capacity | None
    status: CapStatus | None
    mismatch: str | None

    @property
    def is_limit(self) -> bool:
        """Whether there is one, or should be."""
        return self.requested is not None or (self.status is not None and self.status.applied is not None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in SI units."""
        status = self.status.to_json() if self.status else {"applied": None, "stats": None}
        requested = self.requested and self.requested.to_json()
        return {**self.identity, "requested": requested, **status, "mismatch": self.mismatch}


def show_caps(title: str, columns: Sequence[str], held: Sequence[HeldCap]) -> None:
    """Print what is requested, applied and counted; and a note for each mismatch."""
    made = table(title, *columns, "requested,", "applied,", "sent>", "dropped>", "backlog>")
    for cap in held:
        applied = format_limit(cap.status.applied if cap.status else None)
        counted = ["", "", ""]
        if cap.status is not None:
            stats = cap.status.stats
            sent = f"{stats.sent_packets} pkt {format_size(stats.sent_bytes)}"
            counted = [sent, str(stats.dropped), format_size(stats.backlog_bytes)]
        shown = Styled(f"{applied} (differs)", "red") if cap.mismatch else applied
        made.add_row(*cap.names, format_limit(cap.requested), shown, *counted)
    show(made)
    for cap in held:
        if cap.mismatch:
            note(f"{columns[0].rstrip('>')} {' '.join(cap.names)}: applied differs from requested: {cap.mismatch}")


@dataclass(frozen=True)
class ChangedCap:
    """A capacity or a share of a CPU before and after a change; None: no limit. See HeldCap."""

    names: Sequence[str]
    identity: Mapping[str, Any]
    before: Capacity | CpuShare | None
    after: Capacity | CpuShare | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in SI units; a share of a CPU in cores."""
        return {**self.identity, "capacity": self.after and self.after.to_json()}


def perform(
    network: Network, change: Callable[[NetworkPlan], NetworkPlan], dry_run: bool
) -> tuple[PlanChange, Reshaped | None]:
    """Change the network, or only compute what would change."""
    old = network.plan
    if not dry_run:
        done = network.reshape(change)
        return PlanChange(old, done.plan), done
    new = change(old)
    network.backend.check(new, old)
    return PlanChange(old, new), None


def show_changed(columns: Sequence[str], changed: Sequence[ChangedCap], done: Reshaped | None, json_: bool) -> None:
    """Print old and new capacities; done is None in a dry run."""
    if json_:
        print_json({"seconds": done.seconds if done else None, "changed": [cap.to_json() for cap in changed]})
        return
    if not changed:
        say("nothing to change: the limits already have these values")
        return
    made = table("Changed" if done else "Would change", *columns, "before,", "after,")
    for cap in changed:
        made.add_row(*cap.names, *format_distinct(format_limit, [cap.before, cap.after]))
    show(made)
    if done:
        say(f"applied and read back in {format_time(done.seconds)}")
