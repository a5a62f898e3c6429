"""What a user should know of a change that was made while jobs run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.output import note
from harness.model.format import format_time

if TYPE_CHECKING:
    from harness.networks.network import Network, Reshaped


def note_consequences(network: Network, done: Reshaped) -> None:
    """Say what still is as before the change, on standard error."""
    for (src, dst), left in done.old_rate_s.items():
        note(
            f"{src}->{dst}: what is queued already still leaves at the old rate, for another {format_time(left)}"
            " (netem fixes a packet's departure when it is queued)"
        )
    if done.segments_cut and not network.backend.engine.cuts_super_packets:
        note(
            "TCP connections that are open already still send super-packets of up to 64 KiB;"
            " loss and limits act on those whole"
        )
