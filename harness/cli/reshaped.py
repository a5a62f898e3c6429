"""Notes on a change that was made while jobs run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.output import note
from harness.model.format import format_time

if TYPE_CHECKING:
    from harness.networks.network import Network, Reshaped


def note_consequences(network: Network, done: Reshaped) -> None:
    """Print what the change does not affect yet."""
    for (src, dst), left in done.old_rate_s.items():
        note(
            f"{src}->{dst}: packets that were queued before leave at the old rate, for another {format_time(left)}"
            " (netem computes a packet's departure when it is queued)"
        )
    if done.segments_cut and not network.backend.engine.cuts_super_packets:
        note(
            "TCP connections that were open before still send super-packets of up to 64 KiB;"
            " loss and limits apply to each as a whole"
        )
