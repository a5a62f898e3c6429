"""TCP's default congestion control in a network namespace."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Final

DEFAULT: Final = Path("/proc/sys/net/ipv4/tcp_congestion_control")
"""Of the reader's network namespace."""
AVAILABLE: Final = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


def is_known(name: str) -> bool:
    """Whether this kernel has it, or can load its module for us."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        except OSError as problem:
            return problem.errno != errno.ENOENT
    return True


def make_default(wanted: str, path: Path = DEFAULT) -> str:
    """Make it this namespace's default; where that fails, returns what routes must carry instead, else "".

    It fails where the host does not allow it to everybody (tcp_allowed_congestion_control), and in containers, where
    /proc/sys cannot be written. Routes can carry any (RTAX_CC_ALGO), but a route's overrides what a program has chosen
    by TCP_CONGESTION before it connects, as iperf3 -C does (tcp_ca_dst_init in net/ipv4/tcp_output.c).
    """
    try:
        if path.read_text().strip() != wanted:
            path.write_text(wanted)
    except OSError:
        return wanted
    return ""
