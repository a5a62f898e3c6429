"""Rules of policy routing as rtnetlink takes them (linux/fib_rules.h)."""

from __future__ import annotations

import socket
import struct
from typing import Final

from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr
from harness.netlink.rtnetlink import Request

_RTM_NEWRULE: Final = 32
_HEADER: Final = struct.Struct("=8BI")
"""struct fib_rule_hdr: family, lengths, tos, table, reserved, action, flags."""
_PROHIBIT: Final = 8
_PRIORITY, _UID_RANGE, _IP_PROTO, _DPORT_RANGE = 6, 20, 22, 24
_BEFORE_MAIN: Final = 100
_LAST_UID: Final = 2**32 - 2


def root_only(port: int) -> Request:
    """Nobody but root connects from here to that TCP port of another machine, by IPv4: others get EACCES.

    Kernel 4.17 and newer.
    """
    body = _HEADER.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, _PROHIBIT, 0)
    body += attr(_PRIORITY, struct.pack("=I", _BEFORE_MAIN))
    body += attr(_UID_RANGE, struct.pack("=II", 1, _LAST_UID))
    body += attr(_IP_PROTO, struct.pack("=B", socket.IPPROTO_TCP))
    body += attr(_DPORT_RANGE, struct.pack("=HH", port, port))
    return Request(_RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, body)
