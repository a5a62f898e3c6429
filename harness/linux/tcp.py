"""The kernel's counters of TCP in a network namespace: /proc/net/snmp, named as in RFC 2012."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from harness.model.status import TcpCounters

_NAMES: Final = ("ActiveOpens", "PassiveOpens", "InSegs", "OutSegs", "RetransSegs")


class TcpCounts(NamedTuple):
    """Counts of all TCP connections.

    Args:
        opened: connections opened, actively or passively.
        received: segments received.
        sent: segments sent.
        retransmitted: segments retransmitted.
    """

    opened: int
    received: int
    sent: int
    retransmitted: int


class TcpCounterFile:
    """The counters of this thread's current network namespace, kept open. Raises OSError."""

    def __init__(self) -> None:
        self._fd = os.open("/proc/thread-self/net/snmp", os.O_RDONLY | os.O_CLOEXEC)
        names, _ = self._rows()
        self._places = [names.index(name.encode()) for name in _NAMES]

    def read(self) -> TcpCounts:
        """The counts until now."""
        values = self._rows()[1]
        active, passive, received, sent, retransmitted = (int(values[place]) for place in self._places)
        return TcpCounts(active + passive, received, sent, retransmitted)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _rows(self) -> tuple[list[bytes], list[bytes]]:
        names, values = os.pread(self._fd, 1 << 14, 0).split(b"\nTcp: ")[1:3]
        return names.split(), values.partition(b"\n")[0].split()


def tcp_counters() -> TcpCounters:
    """The counters of this thread's network namespace. Raises OSError."""
    file = TcpCounterFile()
    try:
        counts = file.read()
        return TcpCounters(counts.sent, counts.retransmitted)
    finally:
        file.close()
