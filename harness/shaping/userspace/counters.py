"""The numbers that the shaper daemon counts for each link queue and each shared capacity."""

from __future__ import annotations

from typing import Final

NAMES: Final = ("sent_packets", "sent_bytes", "dropped", "backlog_bytes", "backlog_packets")
"""The kernel, not the daemon, counts a link queue's ``backlog_packets``."""
SENT_PACKETS, SENT_BYTES, DROPPED, BACKLOG_BYTES, BACKLOG_PACKETS = range(len(NAMES))
Counts = list[int] | memoryview
"""A number for each of NAMES."""
