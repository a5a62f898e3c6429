"""Where jobs may not send: rules of routing by user id. Agents are root, their jobs are not.

Others get EACCES. Needs kernel 4.17.
"""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Network
from typing import Final

from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, attr
from harness.netlink.rtnetlink import Request, Rtnetlink

_RTM_NEWRULE, _FR_ACT_PROHIBIT = 32, 8
_FIB_RULE_HDR: Final = struct.Struct("=BBBBBxxBI")
_FRA_DST, _FRA_PRIORITY, _FRA_UID_RANGE, _FRA_IP_PROTO, _FRA_DPORT_RANGE = 1, 6, 20, 22, 24
"""linux/fib_rules.h."""
_BEFORE_MAIN: Final = struct.pack("=I", 100)
_ALL_BUT_ROOT: Final = struct.pack("=II", 1, 2**32 - 2)


def reserve(port: int) -> str:
    """Nobody but root connects to that TCP port of another node, by IPv4. Returns why not, or an empty text."""
    ports = struct.pack("=HH", port, port)
    return _prohibit(0, attr(_FRA_IP_PROTO, bytes([socket.IPPROTO_TCP])) + attr(_FRA_DPORT_RANGE, ports))


def reserve_subnet(subnet: IPv4Network) -> str:
    """Nobody but root sends to that subnet. Returns why not, or an empty text."""
    return _prohibit(subnet.prefixlen, attr(_FRA_DST, subnet.network_address.packed))


def _prohibit(prefix: int, what: bytes) -> str:
    body = _FIB_RULE_HDR.pack(socket.AF_INET, prefix, 0, 0, 0, _FR_ACT_PROHIBIT, 0)
    body += attr(_FRA_PRIORITY, _BEFORE_MAIN) + attr(_FRA_UID_RANGE, _ALL_BUT_ROOT) + what
    with Rtnetlink() as netlink:
        refusals = netlink.batch([Request(_RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, body)])
    return refusals[0].text if refusals and refusals[0].errno != errno.EEXIST else ""
