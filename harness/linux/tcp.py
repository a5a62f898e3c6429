"""What the kernel has counted of TCP in the network namespace of this thread."""

from __future__ import annotations

from pathlib import Path

from harness.model.status import TcpCounters


def tcp_counters() -> TcpCounters:
    """From /proc/net/snmp, whose names are those of RFC 2012. Raises OSError."""
    lines = [line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()]
    names, values = (words for words in lines if words[0] == "Tcp:")
    counted = dict(zip(names, values, strict=True))
    return TcpCounters(int(counted["OutSegs"]), int(counted["RetransSegs"]))
