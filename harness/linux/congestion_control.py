"""TCP's congestion control in a network namespace: as its default, which a program's own choice overrides."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Final

DEFAULT: Final = Path("/proc/sys/net/ipv4/tcp_congestion_control")
"""Of the network namespace of whoever reads it."""
AVAILABLE: Final = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


def is_known(name: str) -> bool:
    """Whether this kernel has it, or a module of it that it may load for us."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        except OSError as problem:
            return problem.errno != errno.ENOENT
    return True


def make_default(wanted: str, path: Path = DEFAULT) -> str:
    """Make it the default of this namespace; what routes must carry for it: nothing, or the wanted one.

    A namespace has its host's default. Another one it can have where the host allows it to everybody
    (tcp_allowed_congestion_control), and not in containers, where /proc/sys cannot be written. Routes can carry any:
    when a connection begins, a route's (RTAX_CC_ALGO) replaces what the program has chosen before, as iperf3 -C does,
    by TCP_CONGESTION (tcp_ca_dst_init in net/ipv4/tcp_output.c).
    """
    try:
        if path.read_text().strip() != wanted:
            path.write_text(wanted)
    except OSError:
        return wanted
    return ""
